"""What others read in an exported folder: read_export.py RECORDING FOLDER FLAVOUR. Prints how many volumes agreed."""

import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import dcm2niix
import nibabel
import numpy as np
import pydicom
from nibabel.nicom import dicomwrappers

recording, folder, flavour = nibabel.load(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
truth = np.asarray(recording.dataobj, "f8")


def agree(data, affine, volume):
    """Every voxel of the recording has its value where the other image has the same place."""
    want = truth[..., volume]
    index = np.indices(want.shape).reshape(3, -1)
    places = np.linalg.inv(affine) @ recording.affine @ np.vstack([index, np.ones(index.shape[1])])
    near = np.rint(places[:3])
    assert np.abs(places[:3] - near).max() * 4 < 1e-3, np.abs(places[:3] - near).max()
    assert sorted(data.shape) == sorted(want.shape), (data.shape, want.shape)
    got = data[tuple(near.astype(int))]
    assert np.abs(got - want.ravel()).max() == 0, (volume, np.abs(got - want.ravel()).max())


count = defaultdict(int)
files = sorted(folder.iterdir())
ras = np.diag([-1, -1, 1, 1])
if flavour == "nifti":
    for volume, file in enumerate(files):
        image = nibabel.load(file)
        agree(image.get_fdata()[..., 0], image.affine, volume)
        count["nibabel"] += 1
else:
    for volume, file in enumerate(files):
        ds = pydicom.dcmread(file)
        assert ds.pixel_array.size and ds.RepetitionTime if flavour != "enhanced" else ds.NumberOfFrames == truth.shape[2]
        count["pydicom"] += 1
        if flavour == "mosaic":
            wrapper = dicomwrappers.wrapper_from_data(ds)
            affine = ras @ wrapper.affine
            affine[:, [0, 1]] = affine[:, [1, 0]]
            agree(np.asarray(wrapper.get_data(), "f8").swapaxes(0, 1), affine, volume)
            count["nibabel"] += 1
    # dcm2niix names volumes of enhanced files in no order of time, so they are given to it one by one.
    volume = 0
    for group in [[file] for file in files] if flavour == "enhanced" else [files]:
        with tempfile.TemporaryDirectory() as place:
            source, out = Path(place, "in"), Path(place, "out")
            source.mkdir(), out.mkdir()
            for file in group:
                shutil.copy(file, source)
            subprocess.run([dcm2niix.bin, "-z", "n", "-b", "n", "-o", out, source], check=True, capture_output=True)
            images = sorted(out.glob("*.nii"))
            assert images, "dcm2niix gave nothing"
            for image in map(nibabel.load, images):
                data = image.get_fdata()
                for one in np.moveaxis(data, 3, 0) if data.ndim == 4 else [data]:
                    agree(one, image.affine, volume)
                    volume += 1
    count["dcm2niix"] = volume
print(" ".join(f"{name}={n}" for name, n in sorted(count.items())))
