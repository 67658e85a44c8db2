"""Race `solver="auto"` against "lbfgsb" on the data sets that come with gcp, under every loss that they admit.

    python scripts/benchmarks/real_data.py [--rank 3] [--starts 2] [--markdown FILE]

One thread, the same random starts. The two often end in different minima, so the time compared is that to the level
of the worse of the two ends (and 1e-4 of the fall from the start above it), at ends of iterations. An end is better
if it is lower by more than 1e-3 of the fall.

Prints a Markdown table: per data set the median of the ratio of times (quartiles), and how often each ended better.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is loaded

import numpy as np  # noqa: E402
from _losses import RACED  # noqa: E402

import gcp  # noqa: E402
from gcp.base.errors import ConvergenceWarning, DomainError  # noqa: E402

SOLVERS = ("auto", "lbfgsb")
LEVEL = 1e-4
BETTER = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rank", type=int, default=3)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--max-seconds", type=float, default=5.0, help="of a fit")
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    lines = [
        "| data | cells | fits | seconds of auto / lbfgsb | better ends auto / lbfgsb |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    every = []
    for name in gcp.datasets.available_datasets():
        tensor = getattr(gcp.datasets, f"load_{name}")()
        rows = [
            row
            for loss in RACED
            if admits(tensor, loss)
            for row in race(tensor, loss, arguments.rank, arguments.starts, arguments.max_seconds)
        ]
        lines.append(table_row(name, tensor.values.size, rows))
        print(lines[-1], flush=True)
        every += rows
    lines.append(table_row("**all**", "", every))
    print(lines[-1])
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(lines) + "\n")


def admits(tensor, loss):
    try:
        gcp.build_objective(tensor, loss)
    except DomainError:
        return False
    return True


def race(tensor, loss, rank, n_starts, max_seconds):
    """Per start the ratio of times, and by how much of the fall each end is better than the other."""
    rows = []
    for seed in range(-1, n_starts):  # the first compiles
        auto, other = (
            gcp.fit_gcp(
                tensor,
                rank,
                loss=loss,
                solver=solver,
                random_state=max(seed, 0),
                max_seconds=max_seconds,
                n_iter_max=3 if seed < 0 else None,
                n_threads=1,
            )
            for solver in SOLVERS
        )
        first = auto.trace["objective"][0]
        worse, best = max(auto.objective, other.objective), min(auto.objective, other.objective)
        level = worse + LEVEL * (first - worse)
        seconds = [seconds_to(level, result.trace) for result in (auto, other)]
        if seed >= 0:
            fall = max(first - best, np.finfo(float).tiny)  # nothing falls if the start is the minimum
            rows.append((seconds[0] / seconds[1], (other.objective - auto.objective) / fall))
    return rows


def seconds_to(level, trace):
    return trace["seconds"][int(np.argmax(np.asarray(trace["objective"]) <= level))]


def table_row(name, cells, rows):
    ratios, gains = np.array(rows).T
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    better = f"{np.sum(gains > BETTER)} / {np.sum(gains < -BETTER)}"
    return f"| {name} | {cells} | {len(rows)} | {middle:.2f} ({low:.2f} - {high:.2f}) | {better} |"


if __name__ == "__main__":
    main()
