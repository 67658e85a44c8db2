"""What smooth and designed factors, exposures, trials and estimated parameters cost: fits without and with, in turns.

    python scripts/benchmarks/features.py [--quick] [--rounds 5] [--markdown FILE]

Every feature has a plain fit beside it, of the same data under the same loss from the same start: dense counts in
100 x 60 x 40 cells drawn from four components under each loss, whose first factor is waves of two harmonics under
the log link; trials of 16; a sparse tensor of the same rank in 400 x 300 x 200 cells. One process, one thread, all
compiled before; the two take turns, and who begins changes from round to round. Prints a Markdown table: iterations
of both fits (of the last round of a fit that estimates parameters), the ratio with / without of the seconds of an
iteration, and of the whole fit, which also has another minimum to find: medians over the rounds and their range.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse

import gcp
from gcp.designs import bspline, fourier
from gcp.penalties import Graph, Lasso, Near, Ridge, Smooth

RANK = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small tensors, one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path, help="write the table to this file, too")
    given = parser.parse_args()
    warnings.simplefilter("ignore", gcp.ConvergenceWarning)
    lines = [
        "| data | loss | feature | iterations, without / with | seconds of an iteration | of a fit, with / without |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for case in cases((20, 15, 10), (40, 30, 20)) if given.quick else cases((100, 60, 40), (400, 300, 200)):
        lines.append(row(case, 1 if given.quick else given.rounds))
        print(lines[-1], flush=True)
    if given.markdown:
        given.markdown.write_text("\n".join(lines) + "\n")


def cases(shape, long):
    """Yield data, their name, the loss without, and the features with what they ask for."""
    rng = np.random.default_rng(0)
    n = shape[0]
    drawn = {
        loss: np.asarray(gcp.simulate(shape, RANK, loss, scale=1.0, random_state=0)[0].values)
        for loss in ("poisson", "negative-binomial")
    }
    drawn["poisson-log"] = rng.poisson(np.exp(waves(shape, rng)))
    people = rng.gamma(2.0, size=n)
    chain = scipy.sparse.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1])
    features = rng.gamma(1.0, size=(n, 6))
    for loss, feature, options in (
        ("poisson", "Smooth", {"penalties": [Smooth(0, 10.0)]}),
        ("poisson", "Ridge", {"penalties": [Ridge(0, 10.0)]}),
        ("poisson", "Lasso", {"penalties": [Lasso(0, 1.0)]}),
        ("poisson", "Near", {"penalties": [Near(0, np.ones((n, RANK)), 10.0)]}),
        ("poisson", "Graph", {"penalties": [Graph(0, chain, 10.0)]}),
        ("poisson", "design of 12 splines", {"design": {0: bspline(12)}}),
        ("poisson", "design of 6 features", {"design": {0: features}}),
        ("poisson-log", "design of 2 harmonics", {"design": {0: fourier(12.0, 2)}}),
        ("poisson", "exposure of a mode", {"exposure": people[:, None, None]}),
        ("poisson", "exposure of every cell", {"exposure": rng.gamma(2.0, size=shape)}),
        ("poisson-log", "offset of every cell", {"offset": rng.normal(size=shape) / 10}),
        ("negative-binomial", "r estimated", {"loss": gcp.NegativeBinomial(r="estimate")}),
        ("negative-binomial", "r by position", {"loss": gcp.NegativeBinomial(r="estimate", by=0)}),
    ):
        yield "dense", drawn[loss], loss, feature, options
    share = 1 / (1 + np.exp(-waves(shape, rng)))
    ones = rng.binomial(1, share).astype(float)
    sixteen = {"data": rng.binomial(16, share).astype(float), "trials": 16}
    yield "dense", ones, "bernoulli-logit", "16 trials", sixteen
    few = sparse_counts(long, rng)
    by_modes = [rng.gamma(2.0, size=size) for size in long]
    yield "sparse", few, "poisson", "exposure, a product over modes", {"exposure": by_modes}
    two = rng.gamma(2.0, size=(*long[:2], 1))
    yield "sparse", few, "poisson", "exposure of two modes", {"exposure": two}


def waves(shape, rng):
    """A model of standard deviation 1, whose first factor is a constant and two harmonics of period 12."""
    t = 2 * np.pi * np.arange(shape[0])[:, None] / 12
    basis = np.hstack([np.ones_like(t), np.cos(t), np.sin(t), np.cos(2 * t), np.sin(2 * t)])
    factors = [basis @ rng.normal(size=(5, RANK)), *(rng.normal(size=(size, RANK)) for size in shape[1:])]
    model = np.einsum("ir,jr,kr->ijk", *factors)
    return model / model.std()


def sparse_counts(shape, rng) -> gcp.SparseTensor:
    """Counts of four components, 1 in 100 cells."""
    factors = [rng.gamma(0.3, size=(size, RANK)) for size in shape]
    mean = np.einsum("ir,jr,kr->ijk", *factors)
    x = rng.poisson(0.01 * mean / mean.mean())
    subs = np.argwhere(x)
    return gcp.SparseTensor(subs, x[tuple(subs.T)].astype(float), shape)


def row(case, rounds: int) -> str:
    """Both fits in turns."""
    name, data, loss, feature, options = case
    plain = {"data": data, "loss": loss}
    fits = [plain, plain | options]
    found = [fitted(options)[1] for options in fits]  # compiles
    seconds: list[list[float]] = [[], []]
    for k in range(rounds):
        for which in (0, 1) if k % 2 == 0 else (1, 0):
            seconds[which].append(fitted(fits[which])[0])
    steps = [max(result.n_iter, 1) for result in found]
    ratios = [b / a for a, b in zip(*seconds, strict=True)]
    each = [ratio * steps[0] / steps[1] for ratio in ratios]
    return f"| {name} | {loss} | {feature} | {steps[0]} / {steps[1]} | {spread(each)} | {spread(ratios)} |"


def fitted(options):
    """Seconds of a fit, and the fit."""
    began = time.perf_counter()
    result = gcp.fit_gcp(rank=RANK, random_state=0, n_threads=1, **options)
    return time.perf_counter() - began, result


def spread(values) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
