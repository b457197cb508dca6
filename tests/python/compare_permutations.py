"""The oracle of `neurod encode compare --permutations`: predictions exchanged by runs, every score computed anew, in numpy.

usage: compare_permutations.py DATA BEST OTHER,OTHER… DRAWS SEED

Reads DATA/responses.npy, runs.tsv and regions.tsv, and the predictions of `encode evaluate` in DATA/NAME/predictions.npy.
Which runs are exchanged comes from SplitMix64, one generator a draw, as neurod has it. Prints JSON: of every other feature
space, p and q of the differences by region ([Pearson per voxel, 2V2]) and by voxel.
"""

import json
import sys

import numpy as np
from scipy.stats import false_discovery_control

MASK = 2**64 - 1


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def coins(seed, draw, count):
    state, out = mix(mix(seed) ^ draw), []
    for _ in range(count):
        state = state + 0x9E3779B97F4A7C15 & MASK
        out.append(mix(state) >> 63 == 1)
    return np.array(out)


def table(path):
    rows = [line.split("\t") for line in open(path).read().splitlines()]
    return {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}


def correlations(y, p):
    y, p = y - y.mean(0), p - p.mean(0)
    return (y * p).sum(0) / np.sqrt((y**2).sum(0) * (p**2).sum(0))


def won(y, p):
    """The fraction of its pairs that each sample wins in 2V2."""
    y, p = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (y, p))
    cosine = y @ p.T
    own = np.diag(cosine)
    wins = own[:, None] + own[None, :] > cosine + cosine.T
    np.fill_diagonal(wins, False)
    return wins.sum(1) / (len(y) - 1)


def main():
    data, best, others, draws, seed = sys.argv[1:]
    others, draws, seed = others.split(","), int(draws), int(seed)
    single = lambda path: np.load(path).astype(np.float32).astype(float)
    y, regions = single(f"{data}/responses.npy"), table(f"{data}/regions.tsv")
    runs = np.array(table(f"{data}/runs.tsv")["run"])
    begins = np.concatenate([[True], runs[1:] != runs[:-1]])
    block = np.cumsum(begins) - 1
    sets = {"all": list(range(y.shape[1]))}
    for v, (region, side, network) in enumerate(zip(regions["region"], regions["hemisphere"], regions["network"])):
        for name in (region, f"{side}H{region}", side, network):
            sets.setdefault(name, []).append(v)

    def p_value(as_is, drawn):
        return (1 + (np.abs(drawn) >= np.abs(as_is) - 1e-10).sum(0)) / (1 + draws)

    a = single(f"{data}/{best}/predictions.npy")
    answer, exchanged = {}, [coins(seed, draw, block.max() + 1)[block] for draw in range(draws)]
    for name in others:
        b = single(f"{data}/{name}/predictions.npy")
        less = lambda a, b: correlations(y, a) - correlations(y, b)
        drawn = np.array([less(np.where(swap[:, None], b, a), np.where(swap[:, None], a, b)) for swap in exchanged])
        as_is, answer[name] = less(a, b), {"regions": {}, "voxels": p_value(less(a, b), drawn)}
        for region, columns in sets.items():
            ahead = won(y[:, columns], a[:, columns]) - won(y[:, columns], b[:, columns])
            flipped = np.array([np.where(swap, -ahead, ahead).mean() for swap in exchanged])
            correlation = p_value(as_is[columns].mean(), drawn[:, columns].mean(1))
            answer[name]["regions"][region] = [correlation, p_value(ahead.mean(), flipped)]
    for metric in (0, 1):
        places = [(name, region) for name in others for region in sets]
        q = false_discovery_control([answer[name]["regions"][region][metric] for name, region in places])
        for (name, region), q in zip(places, q):
            p = answer[name]["regions"][region][metric]
            answer[name]["regions"][region][metric] = [float(p), float(q)]
    for name in others:
        p = answer[name]["voxels"]
        answer[name]["voxels"] = [p.tolist(), false_discovery_control(p).tolist()]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
