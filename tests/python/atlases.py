"""Atlases on grids of their own, and what others make of them: nilearn, and numpy on what nilearn resamples.

usage: atlases.py maps FOLDER            writes bold.nii.gz, maps.nii.gz, moved.nii.gz, affine.txt, labels.nii.gz
       atlases.py labels FOLDER ATLAS    writes bold.nii.gz, turned.nii.gz (ATLAS with its axes exchanged and turned around)
       atlases.py paint FOLDER           writes labels.nii.gz, finer.nii.gz and reference.nii.gz

Prints the expected regions as JSON: one object a question, of one list a column.
"""

import json
import pathlib
import sys
import warnings
from unittest import mock

import nibabel
import numpy as np

# nilearn's reports and downloads want these, and nobody here wants either.
for module in ("jinja2", "requests", "requests.exceptions"):
    sys.modules.setdefault(module, mock.MagicMock())
from nilearn.image import resample_img
from nilearn.maskers import NiftiLabelsMasker

warnings.simplefilter("ignore")
what, folder = sys.argv[1], pathlib.Path(sys.argv[2])
random = np.random.default_rng(17)


def save(data, affine, name):
    nibabel.save(nibabel.Nifti1Image(data, affine), folder / name)
    return nibabel.load(folder / name)


def weighted(bold, weights):
    """Each map's weighted mean of each volume: no least squares, as NiftiMapsMasker has it. A map without weight has none."""
    means = np.tensordot(weights, bold, ((0, 1, 2), (0, 1, 2))) / weights.sum((0, 1, 2))[:, None]
    return [[None if np.isnan(v) else float(v) for v in row] for row in means]


def onto(image, bold, how):
    return resample_img(image, bold.affine, bold.shape[:3], interpolation=how).get_fdata()


def maps():
    affine = np.array([[-3.0, 0.1, 0, 20.3], [0.1, 3.1, 0.2, -18.2], [0, -0.2, 3.4, -15.1], [0, 0, 0, 1]])
    bold = save(random.integers(200, 2000, (14, 12, 10, 3)).astype("int16"), affine, "bold.nii.gz")
    # Axes exchanged, one turned around.
    other = np.array([[0, 2.1, 0, -26.0], [0, 0, -2.3, 19.0], [2.2, 0, 0, -17.0], [0, 0, 0, 1]])
    shape = (18, 21, 16)
    at = np.moveaxis(np.indices(shape), 0, -1)
    blob = lambda centre, width: np.exp(-(((at - centre) / width) ** 2).sum(-1))
    values = np.stack([blob((9, 10, 8), 4), blob((6, 12, 9), 3), np.zeros(shape), blob((12, 7, 6), 2)], -1)
    values[values < 1e-3] = 0
    values[0, 0, 0, 2] = 0.5  # outside the image
    values[3, 4, 5] = np.nan
    image = save(values.astype("float32"), other, "maps.nii.gz")
    # The same maps elsewhere, and the way back.
    c, s = np.cos(0.2), np.sin(0.2)
    way = np.array([[c, -s, 0, 4.5], [s, c, 0, -7.25], [0, 0, 1, 3.0], [0, 0, 0, 1]])
    save(values.astype("float32"), np.linalg.inv(way) @ other, "moved.nii.gz")
    np.savetxt(folder / "affine.txt", way, header="from the maps to the image")
    labels = (1 + sum((np.indices(shape)[i] // 6) * 3**i for i in range(3))).astype("uint8")
    labels = save(labels, other, "labels.nii.gz")
    clean = nibabel.Nifti1Image(np.nan_to_num(image.get_fdata()), image.affine)
    linear = onto(clean, bold, "linear")
    # Labels that are resampled linearly: how much of each voxel is of each.
    shares = [onto(nibabel.Nifti1Image((labels.get_fdata() == k).astype("float32"), other), bold, "linear") for k in range(1, 37)]
    shares = np.stack([share for share in shares if share.any()], -1)
    data = bold.get_fdata()
    return {"linear": weighted(data, linear), "nearest": weighted(data, onto(clean, bold, "nearest")), "shares": weighted(data, shares)}


def labels():
    atlas = nibabel.load(sys.argv[3])
    c, s = np.cos(0.1), np.sin(0.1)
    affine = np.array([[3.0, 0, 0, -93.2], [0, 3 * c, -3.4 * s, -120.7], [0, 3 * s, 3.4 * c, -70.4], [0, 0, 0, 1]])
    bold = save(random.normal(800, 100, (62, 64, 40, 2)).astype("float32"), affine, "bold.nii.gz")
    data = np.asarray(atlas.dataobj).astype("uint8")
    turn = np.array([[0, 0, -1, data.shape[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)
    turned = save(np.ascontiguousarray(data[::-1].transpose(1, 2, 0)), atlas.affine @ turn, "turned.nii.gz")
    out = {}
    for name, image in (("given", nibabel.Nifti1Image(data, atlas.affine)), ("turned", turned)):
        masker = NiftiLabelsMasker(image, resampling_target="data", standardize=False, keep_masked_labels=False)
        series = masker.fit_transform(bold)
        out[name] = {str(int(k)): series[:, i].tolist() for i, k in masker.region_ids_.items() if i != "background"}
    return out


def paint():
    affine = np.array([[-4.0, 0, 0, 22.0], [0, 4.0, 0, -18.0], [0, 0, 4.0, -12.0], [0, 0, 0, 1]])
    values = np.zeros((12, 10, 7), "int16")
    values[2:5, 2:8, 1:6], values[6:10, 2:8, 1:6], values[5, 2:8, 1:6] = 9, 4, 17
    save(values, affine, "labels.nii.gz")
    # Every voxel cut into eight: an atlas on another grid, whose nearest voxels are those of the first.
    finer = affine @ np.diag([0.5, 0.5, 0.5, 1])
    finer[:3, 3] = affine[:3, 3] - 0.25 * affine[:3, :3].sum(1)
    save(values.repeat(2, 0).repeat(2, 1).repeat(2, 2), finer, "finer.nii.gz")
    save(np.zeros((12, 10, 7), "float32"), affine, "reference.nii.gz")
    return {}


print(json.dumps({"maps": maps, "labels": labels, "paint": paint}[what]()))
