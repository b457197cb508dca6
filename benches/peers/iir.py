"""The peer of benches/iir.rs: scipy.signal.sosfilt on the same input, in the same run.

One JSON line in, one out. {"sos", "zi", "data"} (data: samples × channels) sets up and answers {"scipy", "numpy",
"output"}; {"calls": n} times n calls of each way of writing it and answers {way: [nanoseconds, …]}.
"""

import json
import sys
import time

import numpy as np
import scipy
from scipy.signal import sosfilt


def main():
    ways = {}
    for line in sys.stdin:
        ask = json.loads(line)
        if "sos" in ask:
            sos, rows = np.array(ask["sos"]), np.array(ask["data"])
            zi = np.array(ask["zi"])  # sections × 2, at rest at 1; times each channel's first sample
            columns = np.ascontiguousarray(rows.T)
            along_rows = {"x": columns, "axis": -1, "zi": zi[:, None, :] * rows[0][None, :, None]}
            along_columns = {"x": rows, "axis": 0, "zi": zi[:, :, None] * rows[0][None, None, :]}
            ways = {
                "channels × samples": along_rows,
                "samples × channels": along_columns,
                # Without state it cannot be used on a stream; it is here so that no faster way is left out.
                "channels × samples, no state": {"x": columns, "axis": -1},
            }
            output, _ = sosfilt(sos, **along_columns)
            other, _ = sosfilt(sos, **along_rows)
            assert np.allclose(output, other.T, rtol=1e-12)
            answer = {"scipy": scipy.__version__, "numpy": np.__version__, "output": output.tolist()}
        else:
            answer = {}
            for way, arguments in ways.items():
                times = []
                for _ in range(ask["calls"]):
                    start = time.perf_counter_ns()
                    sosfilt(sos, **arguments)
                    times.append(time.perf_counter_ns() - start)
                answer[way] = times
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
