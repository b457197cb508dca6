#!/usr/bin/env python3
"""Small recordings of every format, with what they hold. Needs numpy, nibabel and edfio 0.4.18. usage: make_files.py FOLDER

EDF and BDF are written and read back by edfio, NIfTI by nibabel; files.json has the values those programs see.
"""
import datetime
import gzip
import json
import sys
from pathlib import Path

import edfio
import nibabel
import numpy as np

folder = Path(sys.argv[1])
random = np.random.default_rng(5)
golden = {}


def numbers(array):
    return [[None if not np.isfinite(v) else float(v) for v in row] for row in np.asarray(array)]


# EDF+ with annotations: µV, mV and °C signals of one rate, one of another.
t = np.arange(4 * 32) / 32.0
wave = lambda hz, size: size * np.sin(2 * np.pi * hz * t) + random.normal(size=t.size) * size / 10
signals = [
    edfio.EdfSignal(wave(3, 80.0), 32, label="EEG Fpz-Cz", physical_dimension="uV", physical_range=(-200, 200)),
    edfio.EdfSignal(wave(1, 0.3), 32, label="EOG horizontal", physical_dimension="mV", physical_range=(-1, 1)),
    edfio.EdfSignal(37 + wave(1, 0.5), 32, label="Temp rectal", physical_dimension="degC", physical_range=(30, 45)),
    edfio.EdfSignal(np.linspace(0, 1, 8), 2, label="Battery", physical_dimension="", physical_range=(0, 1)),
]
notes = [edfio.EdfAnnotation(0.5, 1.25, "heat"), edfio.EdfAnnotation(2.75, None, "rating é")]
edf = edfio.Edf(signals, annotations=notes, data_record_duration=1.0, starttime=datetime.time(1, 2, 3))
edf.write(folder / "eeg.edf")
back = edfio.read_edf(folder / "eeg.edf")
scale = [1.0, 1e3, 1.0]
golden["edf"] = {"values": numbers(np.stack([s.data * k for s, k in zip(back.signals, scale)], axis=1))}

# BDF: 24 bits, with negative values near both ends.
bdf = edfio.Bdf([
    edfio.BdfSignal(wave(5, 2.0e5), 32, label="A1", physical_dimension="uV", physical_range=(-262144, 262143)),
    edfio.BdfSignal(wave(2, 9.0), 32, label="A2", physical_dimension="uV", physical_range=(-262144, 262143)),
    edfio.BdfSignal(np.round(np.abs(wave(1, 9.0))), 32, label="Status", physical_dimension="Boolean", physical_range=(-8388608, 8388607)),
], data_record_duration=1.0)
bdf.write(folder / "eeg.bdf")
back = edfio.read_bdf(folder / "eeg.bdf")
golden["bdf"] = {"values": numbers(np.stack([s.data for s in back.signals[:2]], axis=1))}

# 4D NIfTI: scaled int16, with a label image; and float32 big-endian with NaN voxels.
affine = np.array([[-3.0, 0, 0, 40], [0, 3, 0.2, -60], [0, -0.2, 3.5, -20], [0, 0, 0, 1]])
labels = random.choice([0, 0, 2, 7, 11], size=(5, 4, 3)).astype(np.int16)
nibabel.save(nibabel.Nifti1Image(labels, affine), folder / "labels.nii.gz")
(folder / "labels.tsv").write_text("index\tname\tcolor\n0\tbackground\t#000000\n2\tinsula\t#ff0000\n7\tM1\t#00ff00\n11\tinsula\t#0000ff\n99\tnowhere\tn/a\n")
mask = (labels == 7).astype(np.uint8)
nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "mask.nii.gz")


def bold(dtype, name, missing):
    data = 800 + 30 * random.normal(size=(5, 4, 3, 6))
    if missing:
        data[labels == 2, 3] = np.nan
        data[np.unravel_index(np.flatnonzero(labels == 7)[0], labels.shape)][1] = np.nan
    image = nibabel.Nifti1Image(data, affine)
    image.set_data_dtype(dtype)
    image.header["pixdim"][4] = 0.72
    image.header.set_xyzt_units("mm", "sec")
    if np.dtype(dtype).byteorder == ">":
        image = nibabel.Nifti1Image(data, affine, image.header.as_byteswapped(">"))
        image.set_data_dtype(dtype)
    nibabel.save(image, folder / name)
    data = nibabel.load(folder / name).get_fdata()
    return {
        "regions": numbers([[np.nanmean(data[labels == k, t]) if np.isfinite(data[labels == k, t]).any() else np.nan for k in (2, 7, 11)] for t in range(6)]),
        "voxels": numbers([data[..., t].ravel(order="F")[np.flatnonzero(mask.ravel(order="F"))] for t in range(6)]),
    }


golden["nifti_int16"] = bold(np.int16, "bold.nii.gz", False)
golden["nifti_float32"] = bold(">f4", "bold.nii", True)
for name in ("labels.nii.gz", "mask.nii.gz", "bold.nii.gz"):
    # Without the time of day, so that the script gives the same bytes again.
    (folder / name).write_bytes(gzip.compress(gzip.decompress((folder / name).read_bytes()), mtime=0))
(folder / "files.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
