"""A lab around the daemon: an amplifier, a scanner and a client, over LSL.

usage: daemon_lsl.py TAG

Sends 16 channels of EEG at 250 Hz (stream TAG-eeg) and 2 regions at 10 Hz (TAG-scan) that follow from it. Answers
commands on standard input, one line each:
  client PREFIX   waits for PREFIX.regions.decoded and its .skill and .quality; prints labels, types and one row as JSON
  gap             sends no EEG for half a second
  end
"""
import json
import sys
import threading
import time

import numpy as np
import pylsl

tag = sys.argv[1]


def outlet(name, kind, channels, rate, labels):
    info = pylsl.StreamInfo(name, kind, channels, rate, "float32", name)
    described = info.desc().append_child("channels")
    for label in labels:
        channel = described.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", "microvolts")
    return pylsl.StreamOutlet(info, chunk_size=1)


eeg = outlet(f"{tag}-eeg", "EEG", 16, 250, [f"EEG{i + 1}" for i in range(16)])
scan = outlet(f"{tag}-scan", "fMRI", 2, 10, ["insula", "V1"])
silent_until = 0.0
ended = False


def play():
    rng = np.random.default_rng(3)
    begin = pylsl.local_clock()
    i = 0
    while not ended:
        due = begin + i / 250
        time.sleep(max(0.0, due - pylsl.local_clock()))
        phase = 2 * np.pi * 0.5 * i / 250
        x = 10 * np.sin(phase + np.arange(16)) + rng.standard_normal(16)
        if due > silent_until:
            eeg.push_sample(x.tolist(), due)
        if i % 25 == 0:
            scan.push_sample([float(x[0] - x[3]), float(x[5])], due)
        i += 1


threading.Thread(target=play, daemon=True).start()
print("playing", flush=True)


def inlet(name):
    found = pylsl.resolve_byprop("name", name, 1, 30.0)
    if not found:
        sys.exit(f"no stream {name}")
    one = pylsl.StreamInlet(found[0])
    info = one.info(10.0)
    child = info.desc().child("channels").child("channel")
    labels = []
    while not child.empty():
        labels.append(child.child_value("label"))
        child = child.next_sibling("channel")
    sample, stamp = one.pull_sample(20.0)
    return {"labels": labels, "type": info.type(), "sample": sample, "age": pylsl.local_clock() - (stamp or 0.0)}


for line in sys.stdin:
    words = line.split()
    if words[0] == "client":
        base = f"{words[1]}.regions.decoded"
        print(json.dumps({kind: inlet(base + kind) for kind in ("", ".skill", ".quality")}), flush=True)
    elif words[0] == "gap":
        silent_until = pylsl.local_clock() + 0.5
        print("silent", flush=True)
    else:
        break
ended = True
