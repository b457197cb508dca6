#!/usr/bin/env python3
"""Region activity as a scanner might have measured it while an EEG recording was made: band power, through the blood's
response, with noise.

    .cache/venv/bin/python tools/simulate_regions.py RECORDING.edf OUT_DIR [--tr 2] [--ceiling 0.7] [--seed 1]

The power in four bands (second-order Butterworth there and back, Hilbert's envelope, its logarithm over half seconds) is
mixed into six regions by random weights, convolved with SPM's canonical response (Friston et al. 1998) and averaged over each
volume. White noise is added so that R between the activity without and with it, what no prediction can exceed by more than
chance, is --ceiling. OUT_DIR gets regions.tsv (volumes × regions, around 100) and truth.tsv (the same without noise). Needs
numpy, scipy and edfio, which are in the test venv (`make venv`).
"""

import argparse
import os

import edfio
import numpy as np
from scipy import signal, stats

BANDS = ((1, 4), (4, 8), (8, 13), (13, 30))
REGIONS = ("insula", "thalamus", "putamen", "cuneus", "precuneus", "SMA")
STEP = 0.5
"""Seconds in which power is averaged."""


def powers(recording):
    """Logarithms of the power in each band, steps × bands, each of mean 0 and standard deviation 1."""
    eeg = edfio.read_edf(recording).signals[0]
    rate, out = eeg.sampling_frequency, []
    for band in BANDS:
        sos = signal.butter(2, band, "bandpass", fs=rate, output="sos")
        envelope = np.abs(signal.hilbert(signal.sosfiltfilt(sos, eeg.data))) ** 2
        count = int(len(envelope) / rate / STEP)
        steps = envelope[: int(count * STEP * rate)].reshape(count, -1).mean(axis=1)
        out.append(stats.zscore(np.log10(steps)))
    return np.stack(out, axis=1)


def response():
    t = np.arange(0, 32, STEP)
    h = stats.gamma.pdf(t, 6) - stats.gamma.pdf(t, 16) / 6
    return h / h.sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recording")
    parser.add_argument("out")
    parser.add_argument("--tr", type=float, default=2.0, help="seconds a volume, whole half seconds (default 2)")
    parser.add_argument("--ceiling", type=float, default=0.7, help="R that noise leaves (default 0.7)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other weights and noise (default 1)")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    neural = powers(asked.recording) @ rng.standard_normal((len(BANDS), len(REGIONS)))
    blood = np.apply_along_axis(lambda x: np.convolve(x, response())[: len(x)], 0, neural)
    per_volume = round(asked.tr / STEP)
    volumes = len(blood) // per_volume
    truth = stats.zscore(blood[: volumes * per_volume].reshape(volumes, per_volume, -1).mean(axis=1))
    noisy = asked.ceiling * truth + np.sqrt(1 - asked.ceiling**2) * rng.standard_normal(truth.shape)
    os.makedirs(asked.out, exist_ok=True)
    for name, values in (("regions.tsv", noisy), ("truth.tsv", truth)):
        rows = ("\t".join(f"{100 + 2 * value:.6f}" for value in row) for row in values)
        with open(os.path.join(asked.out, name), "w", encoding="utf-8") as file:
            file.write("\n".join(["\t".join(REGIONS), *rows]) + "\n")


if __name__ == "__main__":
    main()
