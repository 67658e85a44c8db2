"""Memory and time of one evaluation of the objective on a large dense tensor.

    python scripts/benchmarks/objective_memory.py [--size 400] [--rank 10] [--out results/objective_memory.json]

Prints the peak of the process's memory while the loss and all gradients are evaluated, beyond what it held with
the data in place, for a fully observed tensor, one with a mask and one with real weights, and the time of an
evaluation with one thread and with all. Peak memory is the operating system's own figure (resident set), read
in a fresh process for each case.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

CASES = ("plain", "mask", "weights", "survey")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=400, help="size of each of the three modes")
    parser.add_argument("--rank", type=int, default=10)
    parser.add_argument("--loss", default="poisson")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.size, arguments.rank, arguments.loss)))
        return
    rows = [run_case(case, arguments) for case in CASES]
    print(
        f"{arguments.size}^3 float64 ({8 * arguments.size**3 / 1e6:.0f} MB), {arguments.loss}, rank {arguments.rank}"
    )
    print(f"{'case':10} {'extra MB':>9} {'1 thread s':>11} {'all threads s':>14}")
    for row in rows:
        print(f"{row['case']:10} {row['extra_mb']:9.1f} {row['seconds_1']:11.3f} {row['seconds_all']:14.3f}")
    if arguments.out:
        from importlib.metadata import version

        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        versions = {name: version(name) for name in ("gcp-tensor", "numpy", "scipy", "llvmlite")}
        record = {"processor": platform.processor() or platform.machine(), "versions": versions, "rows": rows}
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def run_case(case: str, arguments: argparse.Namespace) -> dict[str, float | str]:
    command = [sys.executable, __file__, "--case", case, "--size", str(arguments.size)]
    command += ["--rank", str(arguments.rank), "--loss", arguments.loss]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(case: str, size: int, rank: int, loss_name: str) -> dict[str, float | str]:
    import numpy as np

    import gcp
    from gcp.base import threads

    rng = np.random.default_rng(0)
    factors = [rng.uniform(0.1, 1.0, (size, rank)) for _ in range(3)]
    formula = gcp.get_loss(loss_name).formula
    small = gcp.DenseTensor(
        rng.poisson(1.0, (40, 40, 40)).astype(float), entry_weights=np.full((40, 40, 40), 1.0)
    )
    small.loss_and_mttkrps(formula, [a[:40] for a in factors], 2)  # compiled before anything is measured
    gcp.DenseTensor(small.values).loss_and_mttkrps(formula, [a[:40] for a in factors], 2)
    values = np.empty((size,) * 3)
    for slab in values:
        slab[...] = rng.poisson(1.0, slab.shape)
    mask = weights = None
    if case == "mask":
        mask = np.ones(values.shape, dtype=bool)
        mask[::7, ::5] = False
    if case == "weights":
        weights = np.full(values.shape, 0.5)
    tensor = gcp.DenseTensor(values, mask=mask, entry_weights=weights)
    before = peak_mb()
    if case == "survey":  # what a fit does once before it starts
        gcp.build_objective(tensor, loss_name)
    seconds = {}
    for n_threads in (1, threads.available_cores()):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            tensor.loss_and_mttkrps(formula, factors, n_threads)
            times.append(time.perf_counter() - began)
        seconds[n_threads] = statistics.median(times)
    return {
        "case": case,
        "extra_mb": peak_mb() - before,
        "seconds_1": seconds[1],
        "seconds_all": seconds[threads.available_cores()],
    }


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    main()
