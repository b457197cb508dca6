"""Data sets in the layout they are released in, small, and what importing them should give. usage: datasets.py FOLDER
Files of MATLAB are written by scipy and, as version 7.3, by h5py; images by nibabel; .npz by numpy."""
import sys
from pathlib import Path

import nibabel
import numpy as np
import scipy.io
import scipy.signal

from mat_files import cells, hdf5, scipy_form

folder = Path(sys.argv[1])
rng = np.random.default_rng(4)

# BOLD5000: a file a volume, a matrix a region and hemisphere.
release = folder / "bold5000" / "ROIs"
(release / "CSI1" / "mat").mkdir(parents=True)
(release / "stim_lists").mkdir()
SIZES = {"LHPPA": 3, "RHPPA": 4, "LHLOC": 2, "RHLOC": 3, "LHEarlyVis": 5, "RHEarlyVis": 1, "LHOPA": 2, "RHOPA": 2,
         "LHRSC": 1, "RHRSC": 2}
shown = [f"COCO_train2014_{i:012d}.jpg" for i in range(40)] + [f"n01930112_{i}.JPEG" for i in range(24)]
shown += ["concert5.jpg", "news1.jpg", "n.jpg"] + ["rep_concert5.jpg"] * 2
shown += ["rep_n01930112_3.JPEG", "rep_COCO_train2014_000000000002.jpg"] + [f"scene{i}.jpg" for i in range(3)]
(release / "stim_lists" / "CSI01_stim_lists.txt").write_text("\n".join(shown) + "\n")
volumes = {}
for tr in ["1", "2", "3", "34", "4", "5"]:
    volumes[tr] = {roi: rng.normal(size=(len(shown), size)) for roi, size in SIZES.items()}
    order = ["LHPPA", "RHLOC", "LHLOC", "RHEarlyVis", "RHRSC", "RHOPA", "RHPPA", "LHEarlyVis", "LHRSC", "LHOPA"]
    file = release / "CSI1" / "mat" / f"CSI1_ROIs_TR{tr}.mat"
    if tr == "5":
        hdf5(file, {roi: volumes[tr][roi] for roi in order})
    else:
        scipy.io.savemat(file, {roi: volumes[tr][roi] for roi in order}, do_compression=tr != "1")
REGIONS = ["LHPPA", "RHPPA", "LHLOC", "RHLOC", "LHEarlyVis", "RHEarlyVis", "LHOPA", "RHOPA", "LHRSC", "RHRSC"]
np.save(folder / "bold5000_mean.npy", np.hstack([np.mean([v[roi] for v in volumes.values()], 0) for roi in REGIONS]))
np.save(folder / "bold5000_34.npy", np.hstack([volumes["34"][roi] for roi in REGIONS]))

# Pereira 2018: 180 concepts, 60 voxels, networks that overlap, and a parcellation.
(folder / "P01").mkdir()
examples = rng.normal(size=(180, 60))
grid = np.array([[x, y, z] for z in range(1, 4) for y in range(1, 5) for x in range(1, 6)], float)
columns = lambda *numbers: np.array(numbers, float).reshape(-1, 1)
networks = {
    "gordon": {"ROI1_Default_L_-11": columns(1, 2, 3), "ROI2_VentralAttn_R_48": columns(40, 41)},
    "languageLH": {"LH_IFG": columns(5, 6), "LH_PTL": columns(7)},
    "languageRH": {"RH_IFG": columns(50, 51)},
    "visual_body": {"LH_EBA": columns(10, 11), "RH_EBA": columns(30)},
    "visual": {"LH_V": columns(10, 11, 12), "RH_V": columns(30, 31)},
    "DMN": {"dmn": columns(1, 7)},
}
meta = {
    "nvoxels": columns(60),
    "dimensions": np.array([[5.0, 4.0, 3.0]]),
    "colToCoord": grid,
    "atlases": cells(*networks).T,
    "rois": cells(*[cells(*rois) for rois in networks.values()]).T,
    "roiColumns": cells(*[cells(*rois.values()) for rois in networks.values()]).T,
}
keys = [f"concept{i:03d}" for i in range(180)]
order = rng.permutation(180)
data = {
    "examples": examples,
    "keyConcept": cells(*keys),
    "labelsConcept": (order + 1.0).reshape(-1, 1),
    "labelsConcreteness": rng.uniform(1, 5, (180, 1)),
    "meta": meta,
}
scipy.io.savemat(folder / "P01" / "data_180concepts_pictures.mat", {n: scipy_form(v) for n, v in data.items()},
                 do_compression=True)
hdf5(folder / "P01" / "data_v73.mat", data)
old = {"colToCoord": grid, "roisAAL": cells("Frontal_Sup_L", "Frontal_Sup_R"), "roiColumnsAAL": cells(columns(1, 2), columns(9))}
scipy.io.savemat(folder / "P01" / "examples_180concepts_pictures.mat", {
    "examples": examples, "keyConcept": scipy_form(cells(*keys)), "meta": scipy_form(old)})
np.save(folder / "pereira.npy", examples)
np.savetxt(folder / "pereira_order.txt", order, "%d")
affine = np.array([[-2, 0, 0, 10], [0, 2, 0, -20], [0, 0, 2, 5], [0, 0, 0, 1]], float)
nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), affine).to_filename(folder / "P01" / "grid.nii.gz")

# BIDS: two runs of ten volumes, a mask, and labels with names.
func = folder / "sub-7" / "func"
func.mkdir(parents=True)
mask = np.zeros((5, 4, 3), np.uint8)
mask[1:4, 1:3, :2] = 1
labels = np.zeros((5, 4, 3), np.int16)
labels[1, :, :], labels[3, :, :] = 11, 12
nibabel.Nifti1Image(mask, affine).to_filename(func / "mask.nii.gz")
nibabel.Nifti1Image(labels, affine).to_filename(func / "atlas_dseg.nii.gz")
(func / "atlas_dseg.tsv").write_text("index\tname\themisphere\tnetwork\n11\tV1\tR\tvisual\n12\tA1\tL\tn/a\n")
rows, means = [], []
for run in ["01", "02"]:
    series = rng.normal(100, 5, (5, 4, 3, 10)).astype(np.float32)
    image = nibabel.Nifti1Image(series, affine)
    image.header.set_zooms((2, 2, 2, 2.5))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(func / f"sub-7_task-look_run-{run}_space-MNI_desc-preproc_bold.nii.gz")
    (func / f"sub-7_task-look_run-{run}_events.tsv").write_text(
        "onset\tduration\ttrial_type\tstim_file\n2.5\t5\tcat\ta.png\n7.5\t2.5\trest\tn/a\n15\t5\tdog\tb.png\n24\tn/a\tcat\ta.png\n")
    # In the order of memory: x varies fastest.
    rows.append(series.reshape(60, 10, order="F")[mask.ravel(order="F") == 1].T)
    means.append(np.stack([series[labels == label].mean(0) for label in (11, 12)], 1))
np.save(folder / "bids_mask.npy", np.vstack(rows))
flat = [scipy.signal.detrend(r.astype(float), axis=0) for r in rows]
np.save(folder / "bids_flat.npy", np.vstack([r / r.std(0) for r in flat]))
np.save(folder / "bids_z.npy", np.vstack([(r - r.mean(0, dtype=float)) / r.std(0, dtype=float) for r in rows]))
np.save(folder / "bids_mean.npy", np.vstack(means))
places = [nibabel.affines.apply_affine(affine, i) for i in sorted(np.argwhere(mask), key=lambda i: tuple(i[::-1]))]
np.save(folder / "bids_places.npy", np.array(places))
(folder / "samples.tsv").write_text("run\tlabel\n" + "".join(f"{i // 5}\t{'rest' if i % 5 else 'face'}\n" for i in range(20)))

# .npz: other orders of bytes and memory, names as text.
x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 3))
np.savez_compressed(folder / "two.npz", **{
    "features.wide": np.asfortranarray(x), "features.whole": np.arange(24, dtype=">i2").reshape(12, 2),
    "responses": y.astype(">f8"), "runs": np.repeat([1, 2, 3], 4), "stimuli": np.array([f"é{i // 2}" for i in range(12)]),
    "region": np.array([b"V1", b"V1", b"A1"]), "coordinates": np.arange(9.0).reshape(3, 3), "spare": np.zeros(2)})
np.savez(folder / "one.npz", X=x.astype(np.float32), Y=y.astype(np.float32))
np.savez(folder / "short.npz", X=x[:-1], Y=y)
np.savez(folder / "empty.npz", X=x, Y=np.zeros((0, 3)))
np.savez(folder / "object.npz", X=x, Y=np.array([{}, {}], object))
np.save(folder / "x.npy", x)
np.save(folder / "y.npy", y)
