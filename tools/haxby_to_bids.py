#!/usr/bin/env python3
"""Lays the recording of Haxby et al. (2001), subject 1, out as BIDS: one image and one events.tsv a run. Standard
library only, so the same files give the same bytes everywhere.

    python3 tools/haxby_to_bids.py DATA_DIR OUT_DIR --licence LICENCE --source SOURCE

DATA_DIR holds what PyMVPA ships of it: bold.nii.gz (all runs one after another: the posterior half of one axial slice,
every 2.5 s), mask.nii.gz (the 530 voxels inside the brain) and attributes_literal.txt (one line a volume: what was seen
while it was taken, and the run, from 0). OUT_DIR/haxby gets

    dataset_description.json
    sub-1/func/sub-1_task-objectviewing_run-NN_bold.nii    int16, 40 × 20 × 1 × 121, not detrended
    sub-1/func/sub-1_task-objectviewing_run-NN_events.tsv  a row a block: onset and duration in seconds from the run's
                                                           first volume, trial_type; between blocks the person rests
    sub-1/func/sub-1_task-objectviewing_mask.nii.gz

The pictures within a block are not known: their order was never published.
"""

import argparse
import gzip
import itertools
import json
import os
import shutil
import struct
import sys

TR = 2.5
"""Seconds a volume."""
STEM = "sub-1_task-objectviewing"


def labels(path):
    """[(run, [what was seen in each of its volumes])], in order."""
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file if line.strip()]
    runs = [(run, [label for label, _ in group]) for run, group in itertools.groupby(rows, key=lambda row: int(row[1]))]
    if [run for run, _ in runs] != list(range(len(runs))):
        sys.exit(f"{path}: runs are not numbered from 0 in order")
    return runs


def blocks(seen):
    """(first volume, volumes, what) of every stretch in which something was seen."""
    at = 0
    for label, group in itertools.groupby(seen):
        count = len(list(group))
        if label != "rest":
            yield at, count, label
        at += count


def run_image(image, first, count):
    """`count` volumes of a NIfTI-1 file's bytes, from volume `first` on, as such a file."""
    dims = struct.unpack_from("<8h", image, 40)
    (bits,), (start,) = struct.unpack_from("<h", image, 72), struct.unpack_from("<f", image, 108)
    volume = dims[1] * dims[2] * dims[3] * bits // 8
    begin, end = int(start) + first * volume, int(start) + (first + count) * volume
    if image[344:348] != b"n+1\0" or dims[0] != 4 or end > len(image):
        sys.exit("bold.nii.gz: not a 4D NIfTI-1 image of so many volumes")
    head = bytearray(image[: int(start)])
    struct.pack_into("<h", head, 48, count)
    return bytes(head) + image[begin:end]


def convert(data_dir, out_dir, licence, source):
    """Writes OUT_DIR/haxby."""
    runs = labels(os.path.join(data_dir, "attributes_literal.txt"))
    with gzip.open(os.path.join(data_dir, "bold.nii.gz")) as file:
        image = file.read()
    volumes = struct.unpack_from("<h", image, 48)[0]
    if sum(len(seen) for _, seen in runs) != volumes:
        sys.exit(f"bold.nii.gz: {volumes} volumes, but attributes_literal.txt tells of another number")
    func = os.path.join(out_dir, "haxby", "sub-1", "func")
    os.makedirs(func)
    description = {
        "Name": "Haxby et al. (2001), subject 1, the posterior half of one axial slice", "BIDSVersion": "1.10.0",
        "DatasetType": "raw", "License": licence, "Acknowledgements": source,
        "ReferencesAndLinks": ["doi:10.1126/science.1063736"],
    }  # fmt: skip
    with open(os.path.join(out_dir, "haxby", "dataset_description.json"), "w", encoding="utf-8") as file:
        json.dump(description, file, indent=1)
        file.write("\n")
    first = 0
    for run, seen in runs:
        stem = os.path.join(func, f"{STEM}_run-{run + 1:02d}")
        with open(f"{stem}_bold.nii", "wb") as file:
            file.write(run_image(image, first, len(seen)))
        with open(f"{stem}_events.tsv", "w", encoding="utf-8") as file:
            file.write("onset\tduration\ttrial_type\n")
            file.writelines(f"{at * TR:g}\t{count * TR:g}\t{label}\n" for at, count, label in blocks(seen))
        first += len(seen)
    shutil.copyfile(os.path.join(data_dir, "mask.nii.gz"), os.path.join(func, f"{STEM}_mask.nii.gz"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data_dir")
    parser.add_argument("out_dir")
    for option in ("licence", "source"):
        parser.add_argument(f"--{option}", required=True)
    convert(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
