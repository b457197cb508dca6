"""The peer of benches/realign.rs: python-rtspm (OpenNFT's engine) with pyOpenNFT's flags, on the same volumes.

One JSON line in, one out. {"dims", "affine", "reference", "volumes"} (paths of f32 files, x fastest) sets up and answers
{"rtspm", "motion": [[6], …], "resliced": path}; {"volume": i} realigns, reslices and smooths volume i from the reference's
place and answers {"realign", "reslice", "smooth"} in nanoseconds; {"labels": path} sets up nilearn's NiftiLabelsMasker;
{"mask": i} averages volume i and answers {"nanoseconds", "regions"}.
"""

import contextlib
import importlib.metadata
import io
import json
import sys
import time

import numpy as np
from rtspm import spm_imatrix, spm_realign_rt, spm_reslice_rt, spm_smooth

FWHM = 5
# As pyOpenNFT's mri_preprocessing sets them.
COMMON = {"quality": 0.9, "interp": 4, "wrap": np.zeros((3, 1))}
REALIGN = COMMON | {"fwhm": 5, "sep": 4, "rtm": 0, "PW": "", "lkp": np.arange(6)}
RESLICE = COMMON | {"mask": 1, "mean": 0, "which": 2}


class Peer:
    def __init__(self, ask):
        self.dims = np.array(ask["dims"])
        self.nifti = np.vstack([ask["affine"], [0, 0, 0, 1]])
        # Indices count from 1.
        self.mat = self.nifti.copy()
        self.mat[:3, 3] -= self.nifti[:3, :3].sum(axis=1)
        self.reference = self.read(ask["reference"])
        self.volumes = [self.read(path) for path in ask["volumes"]]
        self.start = None

    def read(self, path):
        return np.asfortranarray(np.fromfile(path, "<f4").astype(float).reshape(self.dims, order="F"))

    def run(self, volume):
        image = lambda data: {"mat": self.mat.copy(), "dim": self.dims.copy(), "Vol": data}
        if self.start is None:
            r = [image(self.reference), image(self.reference)]
            *_, a0, x1, x2, x3, deg, b, _ = spm_realign_rt(r, REALIGN, 0, 0, [], [], [], [], [], [])
            self.start = (r[0], a0, x1, x2, x3, deg, b)
        first, *rest = self.start
        r = [first, image(volume)]
        t0 = time.perf_counter_ns()
        r, *_ = spm_realign_rt(r, REALIGN, 1, 0, *rest)
        t1 = time.perf_counter_ns()
        resliced = spm_reslice_rt(r, RESLICE)
        t2 = time.perf_counter_ns()
        size = np.sqrt((self.mat[:3, :3] ** 2).sum(axis=0))
        smoothed = spm_smooth(resliced, FWHM / size)
        t3 = time.perf_counter_ns()
        motion = spm_imatrix(r[1]["mat"] @ np.linalg.inv(r[0]["mat"]))[:6]
        return motion, resliced, smoothed, {"realign": t1 - t0, "reslice": t2 - t1, "smooth": t3 - t2}


def answer(ask, state):
    if "reference" in ask:
        peer = state["peer"] = Peer(ask)
        out = [peer.run(volume) for volume in peer.volumes]
        resliced = ask["volumes"][-1] + ".resliced"
        np.asarray(out[-1][1], "<f4").ravel(order="F").tofile(resliced)
        version = importlib.metadata.version("python-rtspm")
        return {"rtspm": version, "motion": [o[0].tolist() for o in out], "resliced": resliced}
    peer = state["peer"]
    if "volume" in ask:
        return peer.run(peer.volumes[ask["volume"]])[3]
    import nibabel
    import nilearn
    from nilearn.maskers import NiftiLabelsMasker

    if "labels" in ask:
        labels = np.fromfile(ask["labels"], "<f4").astype(np.int32).reshape(peer.dims, order="F")
        masker = NiftiLabelsMasker(nibabel.Nifti1Image(labels, peer.nifti), resampling_target=None, standardize=False)
        state["masker"] = masker.fit()
        state["images"] = [nibabel.Nifti1Image(v.astype(np.float32)[..., None], peer.nifti) for v in peer.volumes]
        return {"nilearn": nilearn.__version__}
    start = time.perf_counter_ns()
    regions = state["masker"].transform(state["images"][ask["mask"]])
    return {"nanoseconds": time.perf_counter_ns() - start, "regions": np.ravel(regions).tolist()}


def main():
    state = {}
    for line in sys.stdin:
        # Whatever the libraries print must not stand between the answers.
        with contextlib.redirect_stdout(io.StringIO()):
            out = answer(json.loads(line), state)
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
