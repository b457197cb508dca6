"""The peer: the best pylsl + scipy loop we know: LSL in -> sosfilt -> linear decode -> LSL out.

usage: lsl_decode.py PREDICATE OUT_NAME OUT_SOURCE_ID FOLDER TAPS

FOLDER holds sos.f64 (sections × 6), w.f64 (features × regions), xbar.f64 and ybar.f64, as the daemon has them. Features
are the filtered channels, newest tap first. The filter begins as the daemon's does, at rest on the first sample. `pull_sample` wakes as soon as one sample is there, `pull_chunk(0)` then takes what else has come: of the usual
idioms the quickest by far.
"""
import sys

import numpy as np
import pylsl
from scipy.signal import sosfilt, sosfilt_zi

predicate, out_name, out_id, folder = sys.argv[1:5]
taps = int(sys.argv[5])
sos = np.fromfile(f"{folder}/sos.f64").reshape(-1, 6)
xbar, ybar = np.fromfile(f"{folder}/xbar.f64"), np.fromfile(f"{folder}/ybar.f64")
w = np.fromfile(f"{folder}/w.f64").reshape(len(xbar), len(ybar))
offset = (ybar - xbar @ w).astype(np.float32)
w = w.astype(np.float32)
found = pylsl.resolve_bypred(predicate, 1, 60.0)
if not found:
    sys.exit(f"no stream matches {predicate}")
inlet = pylsl.StreamInlet(found[0], max_buflen=30, max_chunklen=0)
channels = found[0].channel_count()
info = pylsl.StreamInfo(out_name, "Regions", w.shape[1], found[0].nominal_srate(), "float32", out_id)
outlet = pylsl.StreamOutlet(info, chunk_size=1)
state = None
history = np.zeros((taps, channels), np.float32)
wt = np.ascontiguousarray(w.T)
while True:
    sample, stamp = inlet.pull_sample(30.0)
    if sample is None:
        break
    more, stamps = inlet.pull_chunk(0.0)
    block = np.array([sample, *more], float).T
    if state is None:
        state = sosfilt_zi(sos)[:, None, :] * block[None, :, :1]
    filtered, state = sosfilt(sos, block, axis=1, zi=state)
    for column, at in zip(filtered.T.astype(np.float32), [stamp, *stamps]):
        history[1:] = history[:-1]
        history[0] = column
        outlet.push_sample(wt @ history.ravel() + offset, at)
