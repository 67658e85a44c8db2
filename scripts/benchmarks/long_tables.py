"""Dense data with few cells for each row of a factor: seconds of two methods, and where they end.

    python scripts/benchmarks/long_tables.py [--case NAME ...] [--starts 2] [--limit 40] [--markdown FILE]

Tables and tensors drawn from components under several losses, fitted by `plbfgs` and by `rows` from the same starts,
in one process, two threads. Prints a Markdown table, in the order of the number of cells for each row of a factor,
which is what `solver="auto"` goes by (docs/decisions/0011-auto.md): seconds of each start, iterations of the last,
and the objective above the lowest found, relative.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

import gcp

CASES = {
    "2,000 x 20, rank 3, poisson": ((2000, 20), 3, "poisson"),
    "20,000 x 32, rank 6, poisson": ((20_000, 32), 6, "poisson"),
    "100,000 x 32, rank 6, poisson": ((100_000, 32), 6, "poisson"),
    "20,000 x 32, rank 6, gamma": ((20_000, 32), 6, "gamma"),
    "20,000 x 32, rank 3, bernoulli-logit": ((20_000, 32), 3, "bernoulli-logit"),
    "20,000 x 100, rank 10, poisson": ((20_000, 100), 10, "poisson"),
    "20,000 x 10 x 10, rank 6, negative-binomial": ((20_000, 10, 10), 6, "negative-binomial"),
    "300 x 200, rank 8, poisson": ((300, 200), 8, "poisson"),
    "5,000 x 30 x 5, rank 5, poisson": ((5000, 30, 5), 5, "poisson"),
    "1,000 x 1,000, rank 10, poisson": ((1000, 1000), 10, "poisson"),
}
SOLVERS = ("plbfgs", "rows")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--limit", type=float, default=40.0, help="seconds of a fit, at most")
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    lines = ["| data | cells a row | solver | seconds | iterations | above the lowest |", "|---" * 6 + "|"]
    for name in sorted(arguments.case, key=lambda name: cells_of_a_row(CASES[name][0])):
        lines += rows(name, arguments.starts, arguments.limit)
        print("\n".join(lines[-len(SOLVERS) :]), flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(lines) + "\n")


def model(factors: list[np.ndarray]) -> np.ndarray:
    """Return the sum of the outer products of the factors' columns."""
    letters = "abc"[: len(factors)]
    return np.einsum(",".join(f"{k}r" for k in letters) + "->" + letters, *factors)


def cells_of_a_row(shape: tuple[int, ...]) -> float:
    """Return how many cells a tensor has for each row of its factors."""
    return float(np.prod(shape) / sum(shape))


def rows(name: str, n_starts: int, limit: float) -> list[str]:
    """Return a case's lines of the table."""
    shape, rank, loss = CASES[name]
    rng = np.random.default_rng(0)
    draw = rng.standard_normal if loss == "bernoulli-logit" else rng.standard_exponential
    data = gcp.get_loss(loss).sample(model([draw((n, rank)) for n in shape]), rng).astype(float)
    options = {"loss": loss, "l2_reg": 0.1 if loss == "bernoulli-logit" else 0.0}
    found: dict[str, list] = {}
    for solver in SOLVERS:
        gcp.fit_gcp(data, rank, solver=solver, random_state=0, n_iter_max=1, **options)
        for seed in range(n_starts):
            began = time.perf_counter()
            result = gcp.fit_gcp(data, rank, solver=solver, random_state=seed, max_seconds=limit, **options)
            found.setdefault(solver, []).append((time.perf_counter() - began, result))
    least = min(result.objective for runs in found.values() for _, result in runs)
    lines = []
    for solver, runs in found.items():
        seconds = " / ".join(f"{s:.2f}" for s, _ in runs)
        above = " / ".join(f"{(result.objective - least) / abs(least):.0e}" for _, result in runs)
        start = f"| {name} | {cells_of_a_row(shape):.0f} | {solver} "
        lines.append(f"{start}| {seconds} | {runs[-1][1].n_iter} | {above} |")
    return lines


if __name__ == "__main__":
    main()
