"""The other end of an LSL stream, for the tests: a pylsl outlet or inlet that is told what to do in lines.

    lsl_peer.py outlet '{"name": …, "type": …, "channels": 2, "rate": 250, "format": "float32", "source_id": …,
                         "labels": [...], "unit": "microvolts", "stream": true}'

prints `ready T` (T: LSL time at which the outlet was made). With `stream` it then sends for ever, paced by its rate,
sample n being n + channel/100. Else it does what each line of its input says:

    {"wait": 1}                          waits for a receiver
    {"push": [[...], ...], "stamps": [t, ...]}   sends samples (numbers, strings, or "nan", "inf"); stamps are optional

and answers each with `ok T`.

    lsl_peer.py inlet '{"name": …}'

prints the stream's info as JSON, then does what each line says: {"pull": n} answers with [[sample, stamp], ...] as JSON.
"""

import json
import sys
import time

import pylsl


def say(text):
    print(text, flush=True)


def outlet(o):
    rate = o.get("rate", 0)
    info = pylsl.StreamInfo(
        o["name"], o.get("type", "EEG"), o.get("channels", 1), rate, o.get("format", "float32"), o.get("source_id", o["name"])
    )
    if "labels" in o:
        channels = info.desc().append_child("channels")
        for label in o["labels"]:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", o.get("unit", "microvolts"))
            channel.append_child_value("type", o.get("type", "EEG"))
    out = pylsl.StreamOutlet(info)
    say(f"ready {pylsl.local_clock()}")
    if o.get("stream"):
        began, n = pylsl.local_clock(), 0
        width = o.get("channels", 1)
        while True:
            due = began + n / rate
            time.sleep(max(0.0, due - pylsl.local_clock()))
            out.push_sample([n + c / 100 for c in range(width)], due)
            n += 1
    for line in sys.stdin:
        told = json.loads(line)
        if "wait" in told:
            out.wait_for_consumers(20)
        else:
            stamps = told.get("stamps") or [0.0] * len(told["push"])
            text = o.get("format") == "string"
            for sample, stamp in zip(told["push"], stamps):
                out.push_sample(sample if text else [float(v) if isinstance(v, str) else v for v in sample], stamp)
        say(f"ok {pylsl.local_clock()}")


def inlet(o):
    found = pylsl.resolve_byprop("name", o["name"], 1, 20)
    if not found:
        sys.exit(f"no stream {o['name']}")
    stream = pylsl.StreamInlet(found[0], recover=False)
    info = stream.info(5)
    desc, channels = info.desc(), []
    channel = desc.child("channels").child("channel")
    while not channel.empty():
        channels.append({key: channel.child_value(key) for key in ("label", "unit", "type")})
        channel = channel.next_sibling("channel")
    facts = {key: desc.child_value(key) for key in ("manufacturer", "model", "kind", "predictor", "session", "flags", "replay")}
    stream.open_stream(5)
    say(json.dumps({
        "type": info.type(), "channels": channels, "rate": info.nominal_srate(), "source_id": info.source_id(),
        "format": info.channel_format(), "facts": facts,
    }))
    for line in sys.stdin:
        wanted, got = json.loads(line)["pull"], []
        while len(got) < wanted:
            sample, stamp = stream.pull_sample(10)
            if stamp is None:
                break
            got.append([sample, stamp])
        say(json.dumps(got))


if __name__ == "__main__":
    {"outlet": outlet, "inlet": inlet}[sys.argv[1]](json.loads(sys.argv[2]))
