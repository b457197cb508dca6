"""A device: N channels at R Hz over LSL, every sample pushed when it is due and stamped with its due time.

usage: lsl_source.py NAME SOURCE_ID CHANNELS RATE SECONDS

Sample i holds the same values in every run, so that all contenders see equal input. Open loop: a sample that could not
be pushed in time keeps the stamp of when it should have been, so a stall shows in the latency instead of hiding it.
Starts once somebody listens; prints `begun FIRST_STAMP` then, and `late MEDIAN P99` (microseconds) at the end.
"""
import ctypes
import sys
import time

import numpy as np
import pylsl

name, source_id, channels, rate, seconds = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
info = pylsl.StreamInfo(name, "EEG", channels, rate, "float32", source_id)
labels = info.desc().append_child("channels")
for c in range(channels):
    channel = labels.append_child("channel")
    channel.append_child_value("label", f"EEG{c + 1}")
    channel.append_child_value("unit", "microvolts")
outlet = pylsl.StreamOutlet(info, chunk_size=1)
# PR_SET_TIMERSLACK: the system may otherwise let a sleep run 50 us over, and all contenders would wear that.
ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)
rng = np.random.default_rng(7)
table = [row.tolist() for row in (20 * rng.standard_normal((rate, channels))).astype(np.float32)]

if not outlet.wait_for_consumers(60):
    sys.exit("nobody listens")
time.sleep(3.0)  # for the sink to find the contender's output
begin = pylsl.local_clock() + 0.1
print(f"begun {begin}", flush=True)
late = []
for i in range(rate * seconds):
    due = begin + i / rate
    wait = due - pylsl.local_clock()
    if wait > 0:
        time.sleep(wait)
    late.append(pylsl.local_clock() - due)
    outlet.push_sample(table[i % rate], due)
late = np.array(late) * 1e6
print(f"late {np.median(late):.1f} {np.percentile(late, 99):.1f}", flush=True)
time.sleep(0.5)
