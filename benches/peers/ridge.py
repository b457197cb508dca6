"""The peers of benches/ridge.rs: the same recursion in numpy and BLAS, and scikit-learn's refit. Kept alive, told what to do line by line.

    load PATH F V          rows of F + V little-endian f64
    run KIND START COUNT   COUNT updates from row START on; prints the nanoseconds of each as a JSON list
    weights KIND PATH      writes W (F x V, f64) there; prints a JSON null
    refit ROWS REPEATS     scikit-learn Ridge(alpha=10) on the first ROWS rows; nanoseconds of each
Kinds: outer (numpy, np.outer), dger (in place, W as F x V), dger_t (in place, W as V x F), dsyr (dger_t, and P by its symmetry).
"""
import json
import sys
import time

import numpy as np
from scipy.linalg.blas import dgemv, dger, dsymv, dsyr
from sklearn.linear_model import Ridge

LAMBDA = 10.0


class Recursion:
    def __init__(self, kind, f, v):
        self.kind, self.n = kind, 0
        self.mx, self.my = np.zeros(f), np.zeros(v)
        self.p = np.asfortranarray(np.eye(f) / LAMBDA)
        self.w = np.zeros((v, f) if kind in ("dger_t", "dsyr") else (f, v), order="C" if kind == "outer" else "F")

    def weights(self):
        return self.w.T if self.kind in ("dger_t", "dsyr") else self.w

    def observe(self, x, y):
        n = self.n
        if n:
            d, g, P, W = x - self.mx, n / (n + 1.0), self.p, self.w
            if self.kind == "outer":
                p = P @ d
                k = p / (1.0 / g + d @ p)
                e = y - self.my - d @ W
                W += np.outer(k, e)
                P -= np.outer(k, p)
            elif self.kind == "dger":
                p = dgemv(1.0, P, d)
                k = p / (1.0 / g + d @ p)
                e = y - self.my - dgemv(1.0, W, d, trans=1)
                dger(1.0, k, e, a=W, overwrite_a=1)
                dger(-1.0, k, p, a=P, overwrite_a=1)
            elif self.kind == "dger_t":
                p = dgemv(1.0, P, d)
                k = p / (1.0 / g + d @ p)
                e = y - self.my - dgemv(1.0, W, d)
                dger(1.0, e, k, a=W, overwrite_a=1)
                dger(-1.0, k, p, a=P, overwrite_a=1)
            else:
                p = dsymv(1.0, P, d)
                s = 1.0 / (1.0 / g + d @ p)
                e = y - self.my - dgemv(1.0, W, d)
                dger(s, e, p, a=W, overwrite_a=1)
                dsyr(-s, p, a=P, overwrite_a=1)
        self.n = n + 1
        self.mx += (x - self.mx) / self.n
        self.my += (y - self.my) / self.n


models = {}
for line in sys.stdin:
    command, *rest = line.split()
    answer = None
    if command == "load":
        f, v = int(rest[1]), int(rest[2])
        rows = np.fromfile(rest[0], "<f8").reshape(-1, f + v)
        X, Y = np.ascontiguousarray(rows[:, :f]), np.ascontiguousarray(rows[:, f:])
    elif command == "run":
        model = models.setdefault(rest[0], Recursion(rest[0], f, v))
        answer = []
        for t in range(int(rest[1]), int(rest[1]) + int(rest[2])):
            x, y = X[t], Y[t]
            start = time.perf_counter_ns()
            model.observe(x, y)
            answer.append(time.perf_counter_ns() - start)
    elif command == "weights":
        np.ascontiguousarray(models[rest[0]].weights()).astype("<f8").tofile(rest[1])
    elif command == "refit":
        answer = []
        x, y = X[: int(rest[0])], Y[: int(rest[0])]
        for _ in range(int(rest[1])):
            start = time.perf_counter_ns()
            Ridge(alpha=LAMBDA).fit(x, y)
            answer.append(time.perf_counter_ns() - start)
    print(json.dumps(answer), flush=True)
