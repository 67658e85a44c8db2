"""Time and memory of one pass over listed entries: loss and the gradients of all modes.

    python scripts/benchmarks/sparse_kernel.py [--problem 1e6 1e7] [--rank 10 32] [--data DIR] [--json FILE]

Prints nanoseconds per nonzero and component (Poisson loss, 2000 x 1500 x 1000, medians of interleaved repetitions
with quartiles), for one thread and for all, in float64 and float32, and, in a process of its own, the peak of NumPy's
memory while the tensor is made from subscripts (int64 or int32) and values and evaluated, relative to the bytes of
these.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
from _sparse_data import CUBE, counts_of
from kernels import processor

import gcp
from gcp.base import threads


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", nargs="+", default=["1e6", "1e7"], choices=["1e6", "1e7"])
    parser.add_argument("--rank", nargs="+", type=int, default=[10, 32])
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "gcp-races")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(memory(arguments.problem[0], arguments.memory, arguments.data)))
        return
    print(f"{processor()}, {threads.available_cores()} cores\n")
    record = []
    print("| problem | R | type | threads | ns per nonzero and component (quartiles) | against 1 thread |")
    print("|---|---|---|---|---|---|")
    for problem in arguments.problem:
        for row in timed(problem, arguments):
            record.append(row)
            print(
                f"| {row['problem']} | {row['rank']} | {row['dtype']} | {row['threads']} | {row['ns'][1]:.2f} "
                f"({row['ns'][0]:.2f}-{row['ns'][2]:.2f}) | {row['speedup']:.2f} |",
                flush=True,
            )
    print("\n| problem | subscripts | values | input MB | peak / input |")
    print("|---|---|---|---|---|")
    for problem in arguments.problem:
        for kind in ("int64", "int32"):
            command = [sys.executable, __file__, "--problem", problem, "--memory", kind]
            done = subprocess.run(
                [*command, "--data", str(arguments.data)], check=True, capture_output=True, text=True
            )
            row = json.loads(done.stdout)
            record.append(row)
            print(
                f"| {problem} | {kind} | {row['values']} | {row['input_mb']:.0f} | {row['ratio']:.2f} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps({"processor": processor(), "rows": record}, indent=1) + "\n")


def timed(problem, arguments):
    """Rows of the first table for a problem."""
    subs, values, _ = counts_of(problem, arguments.data)
    cases = {}
    for dtype in (np.float64, np.float32):
        tensor = gcp.SparseTensor(subs, values.astype(dtype), CUBE)
        for rank in arguments.rank:
            rng = np.random.default_rng(0)
            factors = [rng.random((n, rank)).astype(dtype) for n in CUBE]
            for n_threads in dict.fromkeys((1, threads.available_cores())):
                cases[rank, np.dtype(dtype).name, n_threads] = tensor, factors
    formula = gcp.get_loss("poisson").formula
    seconds = {case: [] for case in cases}
    for repetition in range(arguments.repeat + 1):
        for case, (tensor, factors) in cases.items():
            began = time.perf_counter()
            tensor.loss_and_mttkrps(formula, factors, case[2])
            if repetition:
                seconds[case].append(time.perf_counter() - began)
    for (rank, dtype, n_threads), times in seconds.items():
        ns = np.percentile(np.array(times) * 1e9 / len(values) / rank, [25, 50, 75])
        speedup = float(np.median(seconds[rank, dtype, 1]) / np.median(times))
        yield {
            "problem": problem,
            "rank": rank,
            "dtype": dtype,
            "threads": n_threads,
            "ns": ns.tolist(),
            "speedup": speedup,
        }


def memory(problem, kind, folder):
    """The most that NumPy holds while the tensor is made and evaluated, input included, relative to the input."""
    small = gcp.SparseTensor([[0, 0, 0]], [1.0], (2, 2, 2))
    formula = gcp.get_loss("poisson").formula
    small.loss_and_mttkrps(formula, [np.ones((2, 10))] * 3, 1)  # compiled
    subs, values, _ = counts_of(problem, folder)
    subs = subs.astype(kind)
    rng = np.random.default_rng(0)
    factors = [rng.random((n, 10)) for n in CUBE]
    tracemalloc.start()
    tensor = gcp.SparseTensor(subs, values, CUBE)
    tensor.loss_and_mttkrps(formula, factors, 1)
    extra, size = tracemalloc.get_traced_memory()[1], subs.nbytes + values.nbytes
    return {
        "problem": problem,
        "subs": kind,
        "values": "float64",
        "input_mb": size / 1e6,
        "ratio": (size + extra) / size,
    }


if __name__ == "__main__":
    main()
