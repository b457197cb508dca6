#!/usr/bin/env python3
"""What a scanner does to a real EEG recording, and how well it was undone. Arrays are raw little-endian float64, samples ×
channels.

    scanner_artifacts.py make RECORDING.edf OUT    truth.bin, free.bin and locked.bin
    scanner_artifacts.py oracle OUT                averaged artifact subtraction of locked.bin, offline, in oracle.bin
    scanner_artifacts.py score OUT CLEANED TRUTH   JSON: R and decibels of CLEANED against TRUTH, both in OUT

Four stretches of the recording (EEG, one derivation at 256 Hz) stand side by side as four channels, brought to 1 kHz. On
free.bin and locked.bin, channels are these four, an electrocardiogram, and the trigger of each volume. Between 20 s and
380 s a scanner runs: bursts of 20 slices a TR of 2 s, different from slice to slice, between 10 and 250 Hz, a thousand
times as large as the EEG, growing by 1 % and waving by 0.1 %. In free.bin its clock is 37 ppm slower than the amplifier's,
so no two volumes are sampled alike; in locked.bin it is the amplifier's. In free.bin each heart beat shows 0.21 s later as a
wave of 25 to 60 µV, stronger and weaker with each breath. Both are rounded to the 0.5 µV of an amplifier."""

import json
import sys

import numpy as np
from scipy import signal

RATE, SECONDS, TR, SLICES = 1000, 400, 2.0, 20
SCAN = (20.0, 380.0)
DRIFT = 37e-6
KEEP = 25


def recording(path):
    import edfio

    x = edfio.read_edf(path).signals[0].data
    count = 256 * SECONDS
    parts = np.stack([x[i * count : (i + 1) * count] for i in range(4)], axis=1)
    return signal.resample_poly(parts, 125, 32, axis=0)


def gradient(rng, t, onsets, channels):
    """The artifact of each channel at times `t` (s), of volumes that begin at `onsets`."""
    volume = np.searchsorted(onsets, t, side="right") - 1
    on = volume >= 0
    phase = np.where(on, t - onsets[np.maximum(volume, 0)], 0.0)
    period = np.diff(onsets).mean()
    on &= phase < period
    per_slice = phase / (period / SLICES)
    number, within = np.minimum(per_slice.astype(int), SLICES - 1), per_slice % 1.0
    rise = np.clip(np.minimum(within, 0.9 - within) / 0.15, 0, 1)
    burst = rise**2 * (3 - 2 * rise)
    out = np.zeros((len(t), channels))
    for channel in range(channels):
        weights = 1.0 + 0.3 * rng.standard_normal(SLICES)
        for hertz in (10, 20, 40, 70, 110, 160, 200, 250):
            size, turn = rng.uniform(0.5, 1.0), rng.uniform(0, 2 * np.pi)
            out[:, channel] += size * np.sin(2 * np.pi * hertz * phase + turn)
        out[:, channel] *= burst * weights[number] * on
    return out / out[on].std(axis=0)


def heart(rng, t):
    """Beats (s), an electrocardiogram (µV), and how strongly each moment is reached by the pulse of the beat before it."""
    beats = [0.4]
    while beats[-1] < SECONDS:
        beats.append(beats[-1] + 0.85 + 0.08 * np.sin(0.27 * 2 * np.pi * beats[-1]) + 0.02 * rng.standard_normal())
    waves = ((-0.17, 0.025, 120), (-0.03, 0.01, -120), (0.0, 0.011, 1100), (0.03, 0.01, -250), (0.26, 0.045, 300))
    ecg = 200 * np.sin(2 * np.pi * 0.25 * t)
    for beat in beats:
        near = np.abs(t - beat) < 0.6
        for at, width, height in waves:
            ecg[near] += height * np.exp(-0.5 * ((t[near] - beat - at) / width) ** 2)
    return np.array(beats), ecg


def pulse(rng, t, beats, channels):
    out = np.zeros((len(t), channels))
    for channel in range(channels):
        sign, size = rng.choice([-1, 1]), rng.uniform(25, 60)
        for beat in beats:
            near = (t > beat) & (t < beat + 0.8)
            since = t[near] - beat - 0.21
            wave = np.exp(-0.5 * (since / 0.045) ** 2) - 0.6 * np.exp(-0.5 * ((since - 0.13) / 0.06) ** 2)
            out[near, channel] += sign * size * (1 + 0.08 * np.sin(2 * np.pi * 0.25 * beat)) * wave
    return out


def make(edf, out):
    rng = np.random.default_rng(7)
    truth = recording(edf)
    t = np.arange(len(truth)) / RATE
    truth.astype("<f8").tofile(f"{out}/truth.bin")
    beats, ecg = heart(rng, t)
    size = 1000 * truth.std(axis=0).mean()
    grows = 1 + 0.01 * (t - SCAN[0]) / (SCAN[1] - SCAN[0]) + 0.001 * np.sin(2 * np.pi * t / 60)
    volumes = np.arange(round((SCAN[1] - SCAN[0]) / TR) + 1)
    bcg = pulse(rng, t, beats, 4)
    for name, period, first in (("free", TR * (1 + DRIFT), SCAN[0] + 0.00037), ("locked", TR, SCAN[0])):
        onsets = first + period * volumes
        artifact = gradient(np.random.default_rng(3), t, onsets[:-1], 5) * grows[:, None] * size
        trigger = np.zeros(len(t))
        trigger[np.ceil(onsets[:-1] * RATE - 1e-9).astype(int)] = 1
        eeg = truth + artifact[:, :4] + (bcg if name == "free" else 0)
        recorded = np.column_stack([eeg, ecg + artifact[:, 4]])
        recorded = np.column_stack([np.round(recorded / 0.5) * 0.5, trigger])
        recorded.astype("<f8").tofile(f"{out}/{name}.bin")


def oracle(out):
    """Epochs freed of their means; the mean of the last ones, times the share of it in the last, subtracted from the next."""
    recorded = np.fromfile(f"{out}/locked.bin").reshape(-1, 6)
    cleaned, length = recorded.copy(), round(TR * RATE)
    onsets = np.flatnonzero(recorded[:, 5])
    epochs = np.stack([recorded[at : at + length, :5] for at in onsets])
    epochs -= epochs.mean(axis=1, keepdims=True)
    for k in range(1, len(onsets)):
        artifact = epochs[max(0, k - KEEP) : k].mean(axis=0)
        gain = (epochs[k - 1] * artifact).sum(axis=0) / (artifact * artifact).sum(axis=0)
        cleaned[onsets[k] : onsets[k] + length, :5] -= gain * artifact
    cleaned.astype("<f8").tofile(f"{out}/oracle.bin")


def score(out, cleaned, truth):
    """Over the last 219 s of the scan, when the means are complete."""
    part = slice(160 * RATE, int((SCAN[1] - 1) * RATE))
    recorded = np.fromfile(f"{out}/free.bin").reshape(-1, 6)[part, :4]
    cleaned = np.fromfile(f"{out}/{cleaned}").reshape(-1, 6)[part, :4]
    truth = np.fromfile(f"{out}/{truth}").reshape(-1, 4)[part]
    sos = signal.butter(4, (1, 40), "bandpass", fs=RATE, output="sos")
    kept = [signal.sosfiltfilt(sos, x, axis=0)[2000:-2000] for x in (recorded, cleaned, truth)]
    r = [[float(np.corrcoef(x[:, c], kept[2][:, c])[0, 1]) for c in range(4)] for x in kept[:2]]
    decibels = {}
    for name, (low, high) in {"1-4": (1, 4), "4-13": (4, 13), "13-40": (13, 40), "40-120": (40, 120)}.items():
        powers = []
        for x in (recorded - truth, cleaned - truth):
            hertz, density = signal.welch(x, RATE, nperseg=4 * RATE, axis=0)
            powers.append(density[(hertz >= low) & (hertz <= high)].sum(axis=0))
        decibels[name] = float((10 * np.log10(powers[0] / powers[1])).min())
    print(json.dumps({"r_recorded": r[0], "r_cleaned": r[1], "decibels": decibels}))


if __name__ == "__main__":
    {"make": make, "oracle": oracle, "score": score}[sys.argv[1]](*sys.argv[2:])
