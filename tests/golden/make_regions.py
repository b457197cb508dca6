#!/usr/bin/env python3
"""Golden regions of a 4D image under an atlas of another grid, and a head that moves. Needs numpy, nibabel, nilearn with jinja2.

usage: make_regions.py FOLDER    writes odd_bold.nii.gz, odd_labels.nii.gz, moving.nii.gz and regions.json
"""
import json
import pathlib
import sys
import warnings

import nibabel
import numpy as np
from nilearn.maskers import NiftiLabelsMasker

folder = pathlib.Path(sys.argv[1])
random = np.random.default_rng(66)
warnings.simplefilter("ignore")

# The image is tilted; the atlas has its axes swapped, one of them reversed, and other voxel sizes.
affine = np.array([[-3.0, 0.1, 0, 20.3], [0.1, 3.1, 0.2, -18.2], [0, -0.2, 3.4, -15.1], [0, 0, 0, 1]])
bold = random.integers(200, 2000, size=(14, 12, 10, 3)).astype(np.int16)
other = np.array([[0, 2.1, 0, -26.0], [0, 0, -2.3, 19.0], [2.2, 0, 0, -17.0], [0, 0, 0, 1]])
shape = (18, 21, 16)
# Blocks of labels, and one label that lies outside the image.
labels = (1 + sum((np.indices(shape)[i] // 6) * 3**i for i in range(3))).astype(np.uint8)
labels[labels % 4 == 0] = 0
labels[0, 0, 0] = 99
nibabel.save(nibabel.Nifti1Image(bold, affine), folder / "odd_bold.nii.gz")
nibabel.save(nibabel.Nifti1Image(labels, other), folder / "odd_labels.nii.gz")
masker = NiftiLabelsMasker(folder / "odd_labels.nii.gz", resampling_target="data", standardize=False, keep_masked_labels=False)
series = masker.fit_transform(folder / "odd_bold.nii.gz")
columns = {int(label): series[:, i].tolist() for i, label in masker.region_ids_.items() if i != "background"}
lost = sorted(set(np.unique(labels).tolist()) - {0} - set(columns))

# So small a head has its rotations from few edges: they are wrong by 0.014 degrees for each unit of noise (none: 0.005).
# A head of ellipsoids that moves: what is seen at x is what lies at S x, S as SPM's spm_matrix has it.
size = (30, 30, 20)
grid = np.array([[-4.0, 0, 0, 58.0], [0, 4.0, 0, -58.0], [0, 0, 4.5, -42.75], [0, 0, 0, 1]])
mm = np.tensordot(grid[:3, :3], np.indices(size), 1) + grid[:3, 3].reshape(3, 1, 1, 1)


def spm_matrix(p):
    c, s = np.cos(p[3:]), np.sin(p[3:])
    x = np.array([[1, 0, 0], [0, c[0], s[0]], [0, -s[0], c[0]]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    z = np.array([[c[2], s[2], 0], [-s[2], c[2], 0], [0, 0, 1]])
    return x @ y @ z


def head(x, y, z):
    inside = lambda centre, radii, edge: 1 / (1 + np.exp(edge * (np.sqrt(sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii))) - 1)))
    folds = 1 + 0.15 * np.sin(x / 8) * np.cos(y / 9) * np.sin(z / 7 + 1)
    return 400 * inside((0, 0, 0), (44, 48, 34), 18) + 700 * folds * inside((0, 2, 3), (34, 38, 26), 14) + 300 * inside((-6, 0, 5), (8, 14, 8), 6)


truth = [[0.0] * 6, [0.4, -0.3, 0.2, 0.004, -0.003, 0.006], [1.1, 0.8, -0.9, 0.02, 0.015, -0.03], [1.0, 0.9, -0.8, 0.021, 0.015, -0.028]]
moving = []
for p in np.array(truth):
    there = np.tensordot(spm_matrix(p), mm, 1) + p[:3].reshape(3, 1, 1, 1)
    moving.append(np.round(head(*there) + random.normal(0, 2, size)))
nibabel.save(nibabel.Nifti1Image(np.stack(moving, -1).astype(np.int16), grid), folder / "moving.nii.gz")
(folder / "regions.json").write_text(json.dumps({"regions": columns, "lost": lost, "truth": truth}) + "\n")
