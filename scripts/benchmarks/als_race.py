"""Alternating least squares against plbfgs and TensorLy's parafac, on planted Gaussian problems from the same starts.

    python scripts/benchmarks/als_race.py [--shape 50x50x50 ...] [--rank 10] [--starts 4]

Prints, for each solver, the median milliseconds of processor time (one thread) until the objective is within 1e-4 of
the lowest value that all of them reached from the start (they may end in different minima), relative to where the
start was, with the iterations; and the time of a sweep of ALS relative to that of an evaluation of the objective with
its gradient.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from solver_race import COLLINEARITY, planted  # noqa: E402
from tensorly.cp_tensor import CPTensor  # noqa: E402
from tensorly.decomposition import parafac  # noqa: E402

import gcp  # noqa: E402
from gcp.bounds import resolve  # noqa: E402
from gcp.start import random_factors  # noqa: E402

GAP = 1e-4
N_ITER_MAX = 400
OURS = {"als": gcp.ALS, "plbfgs": gcp.PreconditionedLBFGS}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", nargs="+", default=["50x50x50", "100x100x100", "30x30x30x30"])
    parser.add_argument("--rank", type=int, default=10)
    parser.add_argument("--starts", type=int, default=4)
    arguments = parser.parse_args()
    print("| shape | collinearity | als | plbfgs | TensorLy | sweep / evaluation |")
    print("|---|---|---|---|---|---|")
    for text in arguments.shape:
        shape = tuple(int(size) for size in text.split("x"))
        for collinearity in COLLINEARITY:
            runs = [race(shape, arguments.rank, collinearity, seed) for seed in range(-1, arguments.starts)]
            cells = [
                cell([found[name] for found, _ in runs[1:]]) for name in runs[0][0]
            ]  # the first warms up
            ratio = statistics.median(ratio for _, ratio in runs[1:])
            print(f"| {text} | {collinearity} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)


def race(shape, rank, collinearity, seed):
    """Of every solver: processor time and iterations to the gap. And the relative time of a sweep."""
    data = planted(gcp.Gaussian(), shape, rank, collinearity, 100 + seed)
    objective = gcp.build_objective(data, "gaussian", n_threads=1)
    bounds = resolve(None, [(size, rank) for size in shape], objective.loss.model_domain, "gaussian")
    start = random_factors(objective, rank, bounds, np.random.default_rng(seed + 1))
    first, norm2 = objective.value_and_grad(start)[0], float(np.vdot(data, data))
    records = {}
    for name, solver in OURS.items():
        record, began = [], time.process_time()
        method = solver(tol=1e-10, n_iter_max=N_ITER_MAX)
        out = method.solve(objective, start, bounds, lambda s, r=record: r.append(now(s.objective)))
        records[name] = since(began, record)
        if name == "als":
            per_sweep = (time.process_time() - began) / out.n_eval
    record, began = [], time.process_time()
    init = CPTensor((None, [a.copy() for a in start]))
    parafac(
        data, rank, N_ITER_MAX, init=init, tol=1e-12, callback=lambda _, e: record.append(now(e**2 * norm2))
    )
    records["TensorLy"] = since(began, record)
    began = time.process_time()
    for _ in range(20):
        objective.value_and_grad(start)
    per_evaluation = (time.process_time() - began) / 20
    best = max(min(value for _, value in record) for record in records.values())
    goal = best + GAP * (first - best)
    return {name: to_goal(record, goal) for name, record in records.items()}, per_sweep / per_evaluation


def now(value):
    return time.process_time(), float(value)


def since(began, record):
    return [(seconds - began, value) for seconds, value in record]


def to_goal(record, goal):
    """Seconds and iterations; infinite if the goal was not reached."""
    reached = [(seconds, k + 1) for k, (seconds, value) in enumerate(record) if value <= goal]
    return reached[0] if reached else (np.inf, np.inf)


def cell(found):
    milliseconds, iterations = (statistics.median(column) for column in zip(*found, strict=True))
    return f"{1e3 * milliseconds:.1f} ms ({iterations:.0f})"


if __name__ == "__main__":
    main()
