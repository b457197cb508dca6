"""A client: pulls every sample of a stream and says how old each was when it came.

usage: lsl_sink.py PREDICATE COUNT CHECKED OUT

Skips the first second, then takes COUNT samples. OUT.latency.f64 holds now - stamp in
microseconds, one per sample; OUT.stamps.f64 and OUT.values.f32 the first CHECKED samples, to compare what contenders
computed from equal input.
"""
import sys

import numpy as np
import pylsl

predicate, count, checked, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
found = pylsl.resolve_bypred(predicate, 1, 60.0)
if not found:
    sys.exit(f"no stream matches {predicate}")
inlet = pylsl.StreamInlet(found[0], max_buflen=30, max_chunklen=0)
inlet.open_stream(10.0)
latency, stamps, values = [], [], []
first = None
while len(latency) < count:
    sample, stamp = inlet.pull_sample(20.0)
    if sample is None:
        sys.exit(f"the stream fell silent after {len(latency)} samples")
    age = pylsl.local_clock() - stamp
    first = stamp if first is None else first
    if stamp - first < 1.0:
        continue
    if len(stamps) < checked:
        stamps.append(stamp)
        values.append(sample)
    latency.append(age * 1e6)
np.array(latency, float).tofile(f"{out}.latency.f64")
np.array(stamps, float).tofile(f"{out}.stamps.f64")
np.array(values, np.float32).tofile(f"{out}.values.f32")
