"""Do 95 % intervals hold the truth in 95 % of data sets?

    python scripts/experiments/coverage.py [--quick] [--seed 0] [--out results/coverage] [--replicates 200]

From one planted model of rank 2 for each loss (30 x 25 x 20; Gaussian, Poisson, Bernoulli-logit), data sets are drawn
and fitted from the truth on, so that only the intervals are judged and not the search. Components are matched with
the truth's; an interval is estimate +- 1.96 `gcp.analysis.standard_errors`. The Gaussian variance is the
maximum-likelihood one times cells / (cells - parameters). No published result is reproduced; the coverage is this
script's.

Writes coverage.csv, run.json and coverage.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, RED, Run, panels

import gcp
from gcp.analysis import align, n_parameters, standard_errors

CASES = {"gaussian": 1.5, "poisson": 3.0, "bernoulli-logit": 2.0}
QUANTILE = 1.959963984540054


def main() -> None:
    run = Run(
        __doc__,
        "coverage",
        quick="a few small data sets",
        replicates={"type": int, "default": 200, "help": "data sets of each loss (default: 200)"},
    )
    shape, replicates = ((14, 12, 10), 4) if run.quick else ((30, 25, 20), run.given.replicates)
    rows, shares = [], {}
    for name in CASES:
        found = study(name, shape, replicates, run.seed)
        shares[name] = found["factors"]
        for part in ("factors", "weights"):
            coverage = round(float(np.mean(found[part])), 4)
            rows.append({"loss": name, "part": part, "coverage": coverage, "numbers": found[part].size})
    caption = f"Share of nominal 95 % intervals that hold the truth, {replicates} data sets of each loss"
    run.table("coverage", caption, rows)
    run.finish(draw(shares))


def study(name, shape, replicates, seed) -> dict:
    """Whether each interval of each replicate holds the truth."""
    loss = gcp.get_loss(name)
    _, truth = gcp.simulate(shape, 2, loss, scale=CASES[name], random_state=seed)
    start = [truth.factors[0] * truth.weights, *truth.factors[1:]]
    m = np.einsum("ar,br,cr->abc", *start)
    rng = np.random.default_rng(seed)
    factors, weights = [], []
    for _ in range(replicates):
        x = loss.sample(m, rng).astype(float)
        result = align(gcp.fit_gcp(x, 2, loss=loss, init=start, tol=1e-11), truth)
        dispersion = loss.estimate_dispersion(x, result.model_values())
        if dispersion is not None:
            dispersion *= x.size / (x.size - n_parameters(result))
        errors = standard_errors(result, x, dispersion=dispersion)
        hits = [
            np.abs(a - b) <= QUANTILE * s
            for a, b, s in zip(result.factors, truth.factors, errors.factors, strict=True)
        ]
        known = [np.isfinite(s) for s in errors.factors]
        factors.append(
            np.concatenate([np.where(k, h, np.nan).ravel() for h, k in zip(hits, known, strict=True)])
        )
        weights.append(np.abs(result.weights - truth.weights) <= QUANTILE * errors.weights)
    with np.errstate(invalid="ignore"):
        return {"factors": np.nanmean(np.array(factors), axis=0), "weights": np.array(weights, dtype=float)}


def draw(shares):
    """Coverage of every entry, sorted, beside the nominal one."""
    figure, axes = panels(1, 1, 5, 3.4)
    ax = axes[0, 0]
    for (name, values), color in zip(shares.items(), (BLUE, RED, GREEN), strict=True):
        ax.plot(np.linspace(0, 1, len(values)), np.sort(values), color=color, lw=1.4, label=name)
    ax.axhline(0.95, color="0.5", lw=0.8)
    ax.set_ylim(min(0.8, min(float(np.nanmin(v)) for v in shares.values())), 1.005)
    ax.set_xlabel("entries of the factors, sorted", fontsize=8)
    ax.set_ylabel("coverage of nominal 95 % intervals", fontsize=8)
    ax.legend(fontsize=7, frameon=False)
    return figure


if __name__ == "__main__":
    main()
