"""The peer of benches/connectome.rs: numpy.corrcoef over the same window, in the same run.

One JSON line in, one out. {"window": samples × regions} sets up and answers {"numpy", "output"}; {"calls": n} times n calls of each way
of writing it and answers {way: [nanoseconds, …]}.
"""

import json
import sys
import time

import numpy as np


def main():
    ways = {}
    for line in sys.stdin:
        ask = json.loads(line)
        if "window" in ask:
            rows = np.array(ask["window"])
            columns = np.ascontiguousarray(rows.T)
            ways = {
                "regions × samples": lambda: np.corrcoef(columns),
                "samples × regions": lambda: np.corrcoef(rows, rowvar=False),
            }
            answer = {"numpy": np.__version__, "output": np.corrcoef(columns).ravel().tolist()}
        else:
            answer = {}
            for way, call in ways.items():
                times = []
                for _ in range(ask["calls"]):
                    start = time.perf_counter_ns()
                    call()
                    times.append(time.perf_counter_ns() - start)
                answer[way] = times
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
