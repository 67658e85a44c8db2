"""Does `gcp.select_rank` find the planted rank, under every loss?

    python scripts/experiments/rank_study.py [--quick] [--seed 0] [--out results/rank_study] [--instances 10]

For every loss, models of rank 2 to 6 are planted in 30 x 25 x 20 tensors with moderate noise (the scales below; the
losses' own distributions, Huber's and the beta-divergence's included), and `select_rank` chooses among the ranks
from 0 to two more than the planted one and its own penalties: three splits of a tenth of the cells, two starts a fit.
No published result is reproduced; the share of right choices, of all instances and loss by loss, is this script's.

What moderate noise is, the column `worth` says: how much worse the best model without one component does on new data
than the planted one, in what it costs to learn a component (half a unit of log-likelihood for each of its numbers).
Where it is near 1, the smaller model predicts as well, and no judge by prediction can find the planted rank, nor
should. Yes/no answers under odds or rates say so little that they need more cells: 60 x 50 x 40.

Writes choices.csv (every choice), shares.csv, run.json and rank_study.png.
"""

from __future__ import annotations

import warnings
from collections import defaultdict

import numpy as np
from _experiment import BLUE, Run, panels

import gcp

CASES = {
    "gaussian": (gcp.Gaussian(), 1.0),
    "huber": (gcp.Huber(delta=1.0), 1.0),
    "poisson": (gcp.Poisson(), 3.0),
    "poisson-log": (gcp.PoissonLog(), 1.0),
    "negative-binomial": (gcp.NegativeBinomial(r=2.0), 2.0),
    "negative-binomial-logit": (gcp.NegativeBinomialLogit(r=2.0), 1.0),
    "bernoulli-logit": (gcp.BernoulliLogit(), 3.0),
    "bernoulli-odds": (gcp.BernoulliOdds(), 1.0),
    "bernoulli-poisson": (gcp.BernoulliPoisson(), 1.0),
    "gamma": (gcp.Gamma(), 1.0),
    "rayleigh": (gcp.Rayleigh(), 1.0),
    "beta-divergence": (gcp.BetaDivergence(beta=0.5), 1.0),
}
RANKS = (2, 3, 4, 5, 6)
LARGER = ("bernoulli-odds", "bernoulli-poisson")
REPLICATES = 8
"""Draws of the data that stand for all, when the worth of a component is computed."""


def main() -> None:
    run = Run(
        __doc__,
        "rank_study",
        quick="two losses, one small instance each, two splits, one start, one rank more",
        instances={"type": int, "default": 10, "help": "of each loss (default: 10)"},
        loss={"nargs": "+", "default": list(CASES), "choices": list(CASES)},
    )
    losses, n = (["gaussian", "poisson"], 1) if run.quick else (run.given.loss, run.given.instances)
    rows = []
    for name in losses:
        for instance in range(n):
            shape = (60, 50, 40) if name in LARGER else (30, 25, 20)
            more, options = 2, {"n_splits": 3}
            if run.quick:
                shape, more, options = (8, 7, 6), 1, {"n_splits": 2, "n_starts": 1, "tol": 1e-4}
            rows.append(choose(name, instance, shape, more, run.seed, **options))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    run.csv("choices", rows)
    by_loss = defaultdict(list)
    for row in rows:
        by_loss[row["loss"]].append(row)
    right = sum(row["chosen"] == row["planted"] for row in rows)
    run.table(
        "shares", f"Right: {right} of {len(rows)}", [summary(name, own) for name, own in by_loss.items()]
    )
    run.finish(draw(by_loss))


def choose(name, instance, shape, more, seed, **options) -> dict:
    """One planted model, and the rank that is chosen for its data."""
    loss, scale = CASES[name]
    planted = RANKS[instance % len(RANKS)]
    seed = seed + 1000 * list(CASES).index(name) + instance
    data, truth = gcp.simulate(shape, planted, loss, scale=scale, random_state=seed)
    ranks = range(1, planted + more + 1)
    found = gcp.select_rank(data, ranks, loss, random_state=seed, **options)
    stable = max(row.stability for row in found.table if row.rank == found.rank) if found.rank else np.nan
    return {
        "loss": name,
        "instance": instance,
        "shape": " x ".join(map(str, shape)),
        "planted": planted,
        "worth": round(worth(truth, loss, seed), 1),
        "chosen": found.rank,
        "penalty": str(found.chosen.strengths),
        "stability": round(float(stable), 4),
    }


def worth(truth, loss, seed) -> float:
    """Of the least component that is planted: what it adds to predictions, in what it costs to learn."""
    weights, factors = truth
    shape, rank = [len(a) for a in factors], len(weights)
    model, rng = truth.to_tensor(), np.random.default_rng(seed)
    draws = np.stack([loss.sample(model, rng) for _ in range(REPLICATES)], axis=-1).astype(float)

    def least(columns) -> float:
        chosen = [a[:, columns] for a in [factors[0] * weights, *factors[1:], np.ones((REPLICATES, rank))]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gcp.ConvergenceWarning)
            fit = gcp.fit_gcp(draws, len(columns), loss=loss, init=chosen, fixed_modes=[3], tol=1e-6)
        return fit.objective / draws.size

    without = min(least([r for r in range(rank) if r != left]) for left in range(rank))
    dispersion = np.mean(loss.deriv(draws, model[..., None]) ** 2) / np.mean(loss.fisher(model))
    cost = 0.5 * dispersion * (sum(shape) - len(shape) + 1) / (0.9 * np.prod(shape))
    return float((without - least(list(range(rank)))) / cost)


def summary(name, rows) -> dict:
    """One loss: as in decision 18."""
    return {
        "loss": name,
        "cells": rows[0]["shape"],
        "least worth": min(row["worth"] for row in rows),
        "right": f"{sum(row['chosen'] == row['planted'] for row in rows)} of {len(rows)}",
        "chosen less planted": " ".join(f"{row['chosen'] - row['planted']:+d}" for row in rows),
        "least stability": float(np.nanmin([row["stability"] for row in rows])),
    }


def draw(by_loss):
    """Chosen against planted ranks, a panel for each loss."""
    n = len(by_loss)
    columns = min(4, n)
    lines = -(-n // columns)
    figure, axes = panels(lines, columns, 2.1 * columns + 0.6, 2.1 * lines + 0.4, sharex=True, sharey=True)
    rng = np.random.default_rng(0)
    for ax, (name, own) in zip(axes.flat, by_loss.items(), strict=False):
        x = np.array([row["planted"] for row in own]) + rng.uniform(-0.12, 0.12, len(own))
        y = np.array([row["chosen"] for row in own]) + rng.uniform(-0.12, 0.12, len(own))
        ax.plot([1.5, 6.5], [1.5, 6.5], color="0.7", lw=0.8)
        ax.plot(x, y, "o", ms=3, color=BLUE)
        ax.set_title(name, fontsize=8)
        ax.set_xticks(range(2, 7))
        ax.set_yticks(range(0, 9, 2))
    for ax in axes.flat[n:]:
        ax.set_visible(False)
    figure.supxlabel("planted rank", fontsize=8)
    figure.supylabel("chosen rank", fontsize=8)
    return figure


if __name__ == "__main__":
    main()
