"""Data over many powers of ten: does the default end where the best known minimum is?

    python scripts/benchmarks/wide_range.py [--loss poisson ...] [--range 1 1e3 1e6 1e9 1e12] [--starts 8]

Dense data of 12 x 10 x 8 around a model of rank 2, in three kinds: one cell as large as the range, a mode whose
positions span it, and three modes that span it together. The default fits from one start; the best known minimum is
the lowest of its end, of row-wise Newton on the same cells as a list from several starts, and of 5000 iterations of
"lbfgsb" from the best of these. Prints a Markdown table of the excess of the default over the saturated model, by how
much of it the best known end is lower, and the status.

Needs no extra.
"""

from __future__ import annotations

import argparse
import warnings
from itertools import product

import numpy as np

import gcp

LOSSES = (
    "poisson",
    "poisson-log",
    "negative-binomial",
    "negative-binomial-logit",
    "gamma",
    "rayleigh",
    "beta-divergence",
    "gaussian",
    "huber",
)
KINDS = ("one cell", "one mode", "three modes")
SHAPE, RANK = (12, 10, 8), 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", nargs="+", default=LOSSES)
    parser.add_argument("--range", nargs="+", type=float, default=(1, 1e3, 1e6, 1e9, 1e12))
    parser.add_argument("--starts", type=int, default=8)
    arguments = parser.parse_args()
    print(
        "| loss | kind | range | excess | best is lower by | status | iterations |\n|---|---|---|---|---|---|---|"
    )
    for loss, kind, size in product(arguments.loss, KINDS, arguments.range):
        x = drawn(loss, kind, size)
        result = gcp.fit_gcp(x, RANK, loss=loss, random_state=0, n_threads=1)
        excess = result.objective - result.saturated_objective
        below = (result.objective - best(x, loss, result, arguments.starts)) / max(excess, 1e-300)
        print(
            f"| {loss} | {kind} | {size:.0e} | {excess:.6g} | {max(below, 0.0):.1e} | {result.status} | "
            f"{result.n_iter} |",
            flush=True,
        )


def drawn(loss, kind, size):
    """Data that the loss admits."""
    rng = np.random.default_rng(0)
    factors = [rng.gamma(1.0, 1.0, (n, RANK)) + 0.05 for n in SHAPE]
    spans = {"one cell": (0, 0, 0), "one mode": (1, 0, 0), "three modes": (1 / 3, 1 / 3, 1 / 3)}[kind]
    for a, span in zip(factors, spans, strict=True):
        a *= np.logspace(0, span * np.log10(size), len(a))[:, None]
    m = np.minimum(np.einsum("ir,jr,kr->ijk", *factors), 1e15)
    if loss in ("gaussian", "huber"):
        x = m + rng.normal(size=m.shape)
    elif "poisson" in loss:
        x = rng.poisson(m).astype(float)
    elif "negative" in loss:
        x = rng.poisson(m * rng.gamma(1.0, 1.0, m.shape)).astype(float)
    else:
        x = gcp.get_loss(loss).sample(m, rng)
    if kind == "one cell" and size > 1:
        x[0, 0, 0] = size
    return x


def best(x, loss, result, n_starts):
    """The lowest objective that any method reaches."""
    cells = gcp.ObservedTensor(np.argwhere(np.ones(x.shape, bool)), x.ravel(), x.shape)
    listed = gcp.fit_gcp(cells, RANK, loss=loss, random_state=1, n_starts=n_starts, n_threads=1)
    lowest = min(result, listed, key=lambda r: r.objective)
    solver = gcp.LBFGSB(tol=1e-12, n_iter_max=5000)
    onwards = gcp.fit_gcp(x, RANK, loss=loss, solver=solver, init=lowest, n_threads=1)
    return min(lowest.objective, onwards.objective)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
