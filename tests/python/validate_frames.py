"""Validates messages of neurod against its JSON Schemas, and reads its binary frames as docs/frames.md says.

Usage: validate_frames.py SCHEMAS FILE, where each line of FILE is {"json": TEXT, "binary": HEX or null}.
"""

import copy
import json
import math
import pathlib
import struct
import sys

import jsonschema

HEAD = struct.Struct("<4sIBBHBBHIIQ6dQ5H2x")
KINDS = ["measured", "encoded", "decoded", "residual", "contrast"]
UNITS = ["a.u.", "uV", "uV2", "z", "psc", "t"]
CLOCKS = ["monotonic", "scaled", "virtual"]
FLAGS = [
    "GAP", "CLIPPED", "FLAT", "NON_FINITE", "LATE", "CLOCK_JUMP", "STALE_MODEL", "DROPPED_BEFORE", "MOTION",
    "WARMING_UP",
]  # fmt: skip


def read_binary(data):
    """The frame in these bytes, as its JSON form has it."""
    (
        magic, head, kind, unit, quality, clock, flags, _, run, count, seq, target, measured, arrived, published,
        unix_offset, age, updates, *lengths,
    ) = HEAD.unpack_from(data)  # fmt: skip
    assert magic == b"NRF1" and HEAD.size == 100 and head % 8 == 0
    strings, at = [], HEAD.size
    for length in lengths:
        strings.append(data[at : at + length].decode())
        at += length
    session, predictor, regions_id, model, sha256 = strings
    rows = [
        [None if math.isnan(v) else v for v in struct.unpack_from(f"<{count}f", data, head + row * 4 * count)]
        for row in range(1 + (flags & 1))
    ]
    assert len(data) == head + 4 * count * len(rows)
    frame = {
        "schema": "neurod.region_frame.v1", "session": session, "run": run, "seq": seq, "predictor": predictor,
        "kind": KINDS[kind], "t_target": target, "t_measured": measured, "t_arrived": arrived,
        "t_published": published, "clock": {"name": CLOCKS[clock], "unix_offset": unix_offset}, "age_s": age,
        "unit": UNITS[unit], "regions_id": regions_id, "values": rows[0],
        "quality": [name for bit, name in enumerate(FLAGS) if quality >> bit & 1],
        "model": {"id": model, "sha256": sha256, "updates": updates},
    }  # fmt: skip
    if flags & 1:
        frame["skill"] = rows[1]
    return frame


def as_f32(frame):
    """With values as f32 has them: JSON writes the shortest decimal that leads back to it."""
    frame = copy.deepcopy(frame)
    for row in ("values", "skill"):
        if row in frame:
            frame[row] = [None if v is None else struct.unpack("<f", struct.pack("<f", v))[0] for v in frame[row]]
    return frame


def wrong_ones(message):
    """The same message, broken in one way at a time."""
    for field in message:
        # Some are for those who ask; what joined later is not in every message of the version.
        if field not in ("skill", "edges", "shrinkage"):
            yield f"without {field}", {k: v for k, v in message.items() if k != field}
    yield "of another schema", {**message, "schema": "neurod.region_frame.v2"}
    if "ranking" in message:
        yield "with an unknown flag", {**message, "quality": ["BROKEN"]}
        yield "of no volume", {**message, "volumes": 0}
        yield "with one candidate", {**message, "ranking": message["ranking"][:1]}
        yield "surer than sure", {**message, "ranking": [{**of, "p": 1.5} for of in message["ranking"]]}
        return
    if "window_s" in message:
        yield "with an unknown flag", {**message, "quality": ["BROKEN"]}
        yield "of no window", {**message, "samples": 0}
        if "strength" in message:
            yield "of unknown edges", {**message, "kind": "imagined"}
            yield "of one node", {**message, "strength": message["strength"][:1]}
        else:
            yield "surer than sure", {**message, "probabilities": [1.5]}
            yield "of a model of no file", {**message, "model": {**message["model"], "sha256": ""}}
        return
    if "framewise_displacement" in message:
        yield "with an unknown flag", {**message, "quality": ["BROKEN"]}
        yield "that moved less than not", {**message, "framewise_displacement": -0.1}
        yield "of five parameters", {**message, "parameters": [0.0] * 5}
        yield "that ended otherwise", {**message, "fit": "imagined"}
        yield "of no volume", {**message, "volumes": 0}
        return
    yield "in another unit", {**message, "unit": "V"}
    if "values" in message:
        yield "with an unknown flag", {**message, "quality": ["BROKEN"]}
        yield "with null and no flag", {**message, "values": [None], "quality": ["GAP"]}
        yield "of another kind", {**message, "kind": "imagined"}
        yield "with a negative number", {**message, "seq": -1}
    else:
        yield "with a name twice", {**message, "names": ["a", "a"]}


def main(schemas, path):
    validators = {}
    for file in pathlib.Path(schemas).glob("*.json"):
        schema = json.loads(file.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        validators[schema["title"]] = (jsonschema.Draft202012Validator(schema), schema)
    count = binary = 0
    for line in pathlib.Path(path).read_text().splitlines():
        line = json.loads(line)
        # Strict: NaN and Infinity are no JSON, though Python would read them.
        message = json.loads(line["json"], parse_constant=lambda name: sys.exit(f"{name} in {line['json']}"))
        validator, schema = validators[message["schema"]]
        validator.validate(message)
        unknown = set(message) - set(schema["properties"])
        assert not unknown, f"the schema does not describe {unknown}"
        for what, wrong in wrong_ones(message):
            assert not validator.is_valid(wrong), f"a message {what} passes"
        count += 1
        if line["binary"] is not None:
            read = read_binary(bytes.fromhex(line["binary"]))
            assert read == as_f32(message), f"binary {read}\nJSON   {message}"
            binary += 1
    print(f"{count} messages, {binary} of them binary too")


if __name__ == "__main__":
    main(*sys.argv[1:])
