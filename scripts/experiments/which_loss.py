"""Does the loss matter? Held-out log-likelihood of the loss that suits each data set, against Gaussian.

    python scripts/experiments/which_loss.py [--quick] [--seed 0] [--out results/which_loss]

For each data set of `gcp.datasets` and each of five seeds, a tenth of the observed cells is held out (speckled:
cells at random, never whole slices), both losses are fitted to the rest with the same rank from the same seed,
and both predict the same held-out cells. The score is the mean log-likelihood of a held-out cell in nats.
Counts here are overdispersed around any low-rank model, so negative binomial is the loss that suits them; Poisson
is shown beside it, as are Rayleigh beside gamma and odds beside logit.

To be comparable, both are full probability models of the same data:
- Gaussian: the variance is the maximum-likelihood one on the training cells. Counts and yes/no data are whole
  numbers, so there the normal density is integrated over x - 1/2 ... x + 1/2 (the first and last value take the
  tails), which makes it a probability like that of its rival. With a nonnegative rival it is nonnegative too.
- Gamma: the shape is the maximum-likelihood one on the training cells. Negative binomial: r is estimated
  with the model (`r="estimate"`).
- Gamma and Rayleigh data must be positive: cells with 0 are left out for both losses.

The idea of the comparison is that of Hong, Kolda and Duersch (SIAM Review, 2020); the figures are this script's.
Writes scores.csv (every split), losses.csv, run.json and which_loss.png.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _experiment import BLUE, ORANGE, Run, log_of_rounded_normal, panels

import gcp


@dataclass(frozen=True)
class Case:
    """A data set, a loss for it, and the rank for this loss and for its Gaussian rival."""

    dataset: str
    loss: str
    rank: int
    suited: bool = True

    @property
    def needs_positive(self) -> bool:
        return gcp.get_loss(self.loss).data_domain.open_low


# `suited` is what the data's kind and dispersion call for; the others show what the choice within a kind matters.
CASES = (
    Case("nyc_flights", "negative-binomial", 5),
    Case("nyc_flights", "poisson", 5, suited=False),
    Case("trondheim_bikes", "negative-binomial", 4),
    Case("trondheim_bikes", "poisson", 4, suited=False),
    Case("india_rainfall", "gamma", 4),
    Case("india_rainfall", "rayleigh", 4, suited=False),
    Case("nyc_wind", "gamma", 3),
    Case("nyc_wind", "rayleigh", 3, suited=False),
    Case("nations", "bernoulli-logit", 3),
    Case("kinships", "bernoulli-logit", 6),
    Case("kinships", "bernoulli-odds", 6, suited=False),
    Case("ucb_admissions", "negative-binomial", 1),
    Case("hair_eye_color", "negative-binomial", 1),
    Case("titanic", "negative-binomial", 1),
    Case("accident", "negative-binomial", 1),
    Case("accident", "poisson", 1, suited=False),
    Case("yamaguchi", "negative-binomial", 1),
    Case("tv_viewing", "negative-binomial", 1),
    Case("tv_viewing", "poisson", 1, suited=False),
)
QUICK = ("nations", "nyc_wind", "titanic", "tv_viewing")
RIDGE = {"bernoulli-logit": 0.5}  # separable yes/no data have no finite optimum without one


def main() -> None:
    run = Run(__doc__, "which_loss", quick="four small data sets, two seeds")
    cases = [case for case in CASES if not run.quick or case.dataset in QUICK]
    seeds = range(run.seed, run.seed + (2 if run.quick else 5))
    rows, table = [], []
    for case in cases:
        tensor = run.dataset(case.dataset)
        found = [compare(case, tensor, seed) for seed in seeds]
        table.append(summary(case, found))
        rows += found
    run.csv("scores", rows)
    caption = f"Log-likelihood in nats per held-out cell, mean of {len(seeds)} splits; * the loss that suits the data"
    run.table("losses", caption, table)
    run.finish(draw(cases, rows))


def compare(case: Case, tensor: gcp.DenseTensor, seed: int) -> dict[str, object]:
    """Held-out scores of both losses for one split."""
    x = np.asarray(tensor.values, dtype=float)
    observed = (
        np.ones(x.shape, bool) if tensor.entry_weights is None else np.asarray(tensor.entry_weights != 0)
    )
    if case.needs_positive:
        observed = observed & (np.where(observed, x, 0) > 0)
    train = np.asarray(gcp.hold_out(tensor, 0.1, seed, mask=observed, keep=0.5).train.entry_weights) > 0
    test = observed & ~train
    nonnegative = gcp.get_loss(case.loss).model_domain.low == 0
    own = fit_own(case, x, train, seed)
    normal = gcp.fit_gcp(
        x,
        case.rank,
        loss="gaussian",
        mask=train,
        bounds=(0, None) if nonnegative else None,
        random_state=seed,
    )
    own_score = float(np.mean(log_likelihood(own, x, train)[test]))
    normal_score = float(np.mean(normal_log_likelihood(normal, case, x, train)[test]))
    return {
        "dataset": case.dataset,
        "loss": case.loss,
        "suited": case.suited,
        "rank": case.rank,
        "seed": seed,
        "held_out_cells": int(test.sum()),
        "score": own_score,
        "gaussian_score": normal_score,
        "difference": own_score - normal_score,
        "converged": bool(own.converged and normal.converged),
    }


def fit_own(case: Case, x: np.ndarray, train: np.ndarray, seed: int) -> gcp.FitResult:
    loss: str | gcp.Loss = case.loss
    if case.loss == "negative-binomial":
        loss = gcp.NegativeBinomial(r="estimate")
    return gcp.fit_gcp(
        x, case.rank, loss=loss, mask=train, l2_reg=RIDGE.get(case.loss, 0.0), random_state=seed
    )


def log_likelihood(result: gcp.FitResult, x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Log-likelihood of every cell, with the dispersion of the training cells."""
    m = result.model_values()
    safe = np.where(train | (x > 0), x, 1.0)  # cells that are never used keep the formulas quiet
    dispersion = result.loss.estimate_dispersion(x[train], m[train])
    return result.loss.log_likelihood(safe if result.loss.name == "gamma" else x, m, dispersion)


def normal_log_likelihood(result: gcp.FitResult, case: Case, x: np.ndarray, train: np.ndarray) -> np.ndarray:
    m = result.model_values()
    variance = result.loss.estimate_dispersion(x[train], m[train])
    domain = gcp.get_loss(case.loss).data_domain
    if not domain.integer:
        return result.loss.log_likelihood(x, m, variance)
    return log_of_rounded_normal(x, m, np.sqrt(variance), domain.low, domain.high)


def summary(case: Case, rows: list[dict[str, object]]) -> dict[str, object]:
    keys = ("score", "gaussian_score", "difference")
    own, normal, difference = (np.array([row[key] for row in rows]) for key in keys)
    return {
        "data": case.dataset,
        "loss": f"{case.loss}{' *' if case.suited else ''}",
        "rank": case.rank,
        "own": round(float(own.mean()), 3),
        "Gaussian": round(float(normal.mean()), 3),
        "difference": round(float(difference.mean()), 3),
        "sd": round(float(difference.std(ddof=1)), 3),
        "better": f"{np.sum(difference > 0)} of {len(rows)}",
        "converged": f"{sum(bool(row['converged']) for row in rows)} of {len(rows)}",
    }


def draw(cases: list[Case], rows: list[dict[str, object]]):
    """Gain over Gaussian, a dot for each seed."""
    figure, grid = panels(1, 1, 7.5, 0.42 * len(cases) + 1.3)
    axes = grid[0, 0]
    for y, case in enumerate(reversed(cases)):
        gains = [
            row["difference"] for row in rows if (row["dataset"], row["loss"]) == (case.dataset, case.loss)
        ]
        axes.plot(
            gains,
            [y] * len(gains),
            "o" if case.suited else "D",
            color=BLUE if case.suited else ORANGE,
            alpha=0.6,
            markersize=6,
            markeredgewidth=0,
        )
    axes.set_yticks(range(len(cases)), [f"{c.dataset}: {c.loss}, rank {c.rank}" for c in reversed(cases)])
    axes.axvline(0, color="0.3", linewidth=1)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.margins(x=0.1)
    figure.supxlabel(
        "gain in held-out log-likelihood over Gaussian, nats per cell (right of the line: better)\n"
        "dots: the loss that suits the data; diamonds: another",
        fontsize="medium",
    )
    axes.grid(axis="x", color="0.9")
    return figure


if __name__ == "__main__":
    main()
