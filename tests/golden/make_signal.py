"""Writes signal.json: what scipy.signal says about the filters and band powers of src/signal.

Run with numpy and scipy: python tests/golden/make_signal.py
"""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy import signal

FILTERS = [
    ("bandpass", dict(low=1.0, high=40.0, order=4), 250.0),
    ("bandpass", dict(low=0.1, high=100.0, order=2), 1000.0),
    ("bandpass", dict(low=0.5, high=45.0, order=3), 500.0),
    ("bandpass", dict(low=8.0, high=12.0, order=5), 2048.0),
    ("bandpass", dict(low=2.0, high=110.0, order=1), 256.0),
    ("highpass", dict(cutoff=0.1, order=2), 1000.0),
    ("highpass", dict(cutoff=1.0, order=5), 250.0),
    ("highpass", dict(cutoff=0.01, order=1), 512.0),
    ("lowpass", dict(cutoff=40.0, order=4), 250.0),
    ("lowpass", dict(cutoff=10.0, order=7), 5000.0),
    ("lowpass", dict(cutoff=0.2, order=2), 10.0),
    ("notch", dict(frequency=50.0, quality=30.0), 250.0),
    ("notch", dict(frequency=60.0, quality=5.0), 1000.0),
]
SAMPLES, EVERY = 3000, 97
WELCH = [
    dict(rate=250.0, window=250, segment=125, hop=25, bands=[[4, 8], [8, 13], [13, 30]]),
    dict(rate=1000.0, window=1000, segment=1000, hop=100, bands=[[1, 4], [8, 12]]),
    dict(rate=1000.0, window=1024, segment=256, hop=128, bands=[[8, 30], [30, 100]]),
    dict(rate=128.0, window=301, segment=101, hop=50, bands=[[2, 20]]),
]


def noise(count, seed):
    """Uniform in [-100, 100), exactly the same in Rust: a 64-bit LCG's top 53 bits."""
    out = np.empty(count)
    for i in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = (seed >> 11) / 2**53 * 200.0 - 100.0
    return out


def design(kind, p, rate):
    if kind == "notch":
        b, a = signal.iirnotch(p["frequency"], p["quality"], fs=rate)
        return np.concatenate([b, a])[None, :]
    edges = [p["low"], p["high"]] if kind == "bandpass" else p["cutoff"]
    return signal.butter(p["order"], edges, btype=kind, fs=rate, output="sos")


def main():
    filters = []
    for kind, params, rate in FILTERS:
        sos = design(kind, params, rate)
        x = noise(SAMPLES, 7) + 50.0
        plain = signal.sosfilt(sos, x)
        primed, _ = signal.sosfilt(sos, x, zi=signal.sosfilt_zi(sos) * x[0])
        filters.append({
            "config": {kind: params},
            "rate": rate,
            "sos": sos.tolist(),
            "plain": plain[::EVERY].tolist(),
            "primed": primed[::EVERY].tolist(),
        })
    welch = []
    for case in WELCH:
        n = case["window"] + 5 * case["hop"]
        x = noise(n, 11) + 30.0 * np.sin(2 * np.pi * 10.0 * np.arange(n) / case["rate"]) + 500.0
        rows = []
        for end in range(case["window"], n + 1, case["hop"]):
            f, psd = signal.welch(
                x[end - case["window"]:end], fs=case["rate"], window="hann", nperseg=case["segment"],
                noverlap=case["segment"] - case["hop"], detrend="constant", scaling="density", average="mean",
            )
            picks = [(f >= lo - 1e-9) & (f <= hi + 1e-9) for lo, hi in case["bands"]]
            rows.append([float(np.trapezoid(psd[pick], f[pick])) for pick in picks])
        welch.append({**case, "power": rows})
    out = {"scipy": scipy.__version__, "samples": SAMPLES, "every": EVERY, "filters": filters, "welch": welch}
    Path(__file__).with_name("signal.json").write_text(json.dumps(out, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
