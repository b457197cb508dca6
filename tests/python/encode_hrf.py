"""The oracle of `--hrf`: what of a 1 held over one sample shows in each sample, by numeric integration of scipy's densities.

usage: encode_hrf.py spm|glover TR

SPM: gamma densities of shapes 6 and 16, ratio 0.167. Glover: delays 6 and 12 s, dispersion 0.9, ratio 0.48. Both 32 s long,
scaled to unit area. Prints a JSON list.
"""

import json
import sys

import numpy as np
from scipy.integrate import quad
from scipy.stats import gamma

LENGTH = 32.0


def main():
    name, tr = sys.argv[1], float(sys.argv[2])
    if name == "spm":
        first, second, ratio = gamma(6), gamma(16), 0.167
    else:
        first, second, ratio = gamma(6 / 0.9, scale=0.9), gamma(12 / 0.9, scale=0.9), 0.48
    area = first.cdf(LENGTH) - ratio * second.cdf(LENGTH)

    def risen(t):
        t = np.clip(t, 0, LENGTH)
        return (first.cdf(t) - ratio * second.cdf(t)) / area

    def shown(t):
        # The response at t to a 1 that is held over [0, TR).
        return risen(t) - risen(t - tr)

    samples = int(np.ceil(LENGTH / tr)) + 1
    edges = (LENGTH, LENGTH + tr)
    weights = []
    for i in range(samples):
        a, b = i * tr, (i + 1) * tr
        inside = [edge for edge in edges if a < edge < b]
        weights.append(quad(shown, a, b, points=inside or None, epsabs=1e-12)[0] / tr)
    print(json.dumps(weights))


if __name__ == "__main__":
    main()
