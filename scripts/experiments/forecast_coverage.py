"""Do 90 % intervals of forecasts hold what comes in 90 % of the cases?

    python scripts/experiments/forecast_coverage.py [--quick] [--seed 0] [--out results/forecast_coverage]
        [--replicates 40]

Every data set has a planted model of its own, of rank 2: 106 days x 12 x 10 cells, or 36 x 5 x 4 ("few cells"). Days
are either autoregressions of order 1 (coefficients 0.8 and 0.4) about a mean of 0, or of 3 with a standard deviation
of about a quarter of it where the model is nonnegative, or two waves of a week about a mean (for nonnegative models,
with cyclic splines as the design, six functions of a week). All but the last 6 days are fitted, with the dispersion
or r unknown where the loss has one; these are forecast by `result.forecast(6)`, with its defaults, and compared with
the data that came.

"Held" is the share of cells within the 90 % interval. Whole numbers are within at least as often, for no whole number
divides their probability exactly: "randomised" is the share whose randomised probability integral transform lies
between 0.05 and 0.95, which a calibrated forecast has in 90 % whatever the loss. Cells of one day share the rows to
come, so that the standard error is that over data sets. By steps ahead: the first and the last. The scores are those
of the forecasts, beside those of the true model, which knows the rows to come.

Found: with a design, and with autoregressions, all are between 87 and 93 % (of counts: randomised). Not included in
forecasts is that factors are estimates; it matters little here, also where each day's two numbers have 20 cells, for
the dispersion counts the parameters, and the innovations of an autoregression of estimates include their errors.

No published result is reproduced. Writes forecast_coverage.csv, run.json and forecast_coverage.png.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from _experiment import BLUE, RED, Run, panels

import gcp
from gcp.analysis import proper_scores

HORIZON, RANK = 6, 2
LEVEL = 0.9


class Case(NamedTuple):
    """A loss as it is planted and as it is fitted, what days are, the size of its models, and of the tensor."""

    planted: gcp.Loss
    fitted: gcp.Loss
    days: str
    scale: float = 1.0
    dispersion: float | None = None
    n_days: int = 100
    others: tuple[int, int] = (12, 10)


def cases() -> dict[str, Case]:
    nb, logit = gcp.NegativeBinomial(r=3.0), gcp.NegativeBinomialLogit(r=3.0)
    return {
        "gaussian, autoregression": Case(gcp.Gaussian(), gcp.Gaussian(), "ar", 1.0, 1.0),
        "gaussian, waves": Case(gcp.Gaussian(), gcp.Gaussian(), "waves", 1.0, 1.0),
        "poisson, autoregression": Case(gcp.Poisson(), gcp.Poisson(), "ar", 6.0),
        "poisson-log, autoregression": Case(gcp.PoissonLog(), gcp.PoissonLog(), "ar", 0.8),
        "poisson-log, waves": Case(gcp.PoissonLog(), gcp.PoissonLog(), "waves", 0.8),
        "negative-binomial, autoregression": Case(nb, gcp.NegativeBinomial(r="estimate"), "ar", 2.0),
        "negative-binomial-logit, waves": Case(logit, gcp.NegativeBinomialLogit(r="estimate"), "waves", 0.8),
        "gamma, autoregression": Case(gcp.Gamma(), gcp.Gamma(), "ar", 5.0, 0.25),
        "gamma, splines of a week": Case(gcp.Gamma(), gcp.Gamma(), "waves", 5.0, 0.25),
        "poisson, splines of a week": Case(gcp.Poisson(), gcp.Poisson(), "waves", 6.0),
        "gaussian, autoregression, few cells": Case(
            gcp.Gaussian(), gcp.Gaussian(), "ar", 1.0, 1.0, 30, (5, 4)
        ),
        "gaussian, waves, few cells": Case(gcp.Gaussian(), gcp.Gaussian(), "waves", 1.0, 1.0, 30, (5, 4)),
        "gamma, autoregression, few cells": Case(gcp.Gamma(), gcp.Gamma(), "ar", 5.0, 0.25, 30, (5, 4)),
    }


def main() -> None:
    run = Run(
        __doc__,
        "forecast_coverage",
        quick="three cases, two data sets each",
        replicates={"type": int, "default": 40, "help": "data sets of each kind (default: 40)"},
    )
    chosen = cases()
    if run.quick:
        chosen = {name: chosen[name] for name in list(chosen)[:3]}
    rows = []
    for name, case in chosen.items():
        found = [data_set(case, run.seed, k) for k in range(2 if run.quick else run.given.replicates)]
        rows.append(row(name, found))
    run.table("forecast_coverage", "90 % intervals of forecasts, and what came", rows)
    run.finish(draw(rows))


def planted(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Model entries, of a mean size or a standard deviation."""
    n, is_positive = case.n_days + HORIZON, case.planted.model_domain.low >= 0
    if case.days == "ar":
        days = np.zeros((n + 50, RANK))
        for t in range(1, len(days)):
            days[t] = [0.8, 0.4] * days[t - 1] + [0.6, 0.9] * rng.standard_normal(RANK)
        days = days[50:]
    else:
        turns = 2 * np.pi * (np.arange(n) / 7)[:, None] + rng.uniform(0, 2 * np.pi, RANK)
        days = np.sin(turns) + 0.5 * np.cos(2 * turns)
    if is_positive:
        days = np.maximum(3.0 + 0.75 * days, 0.0)
        others = [0.2 + rng.gamma(2.0, 1.0, (size, RANK)) for size in case.others]
    else:
        others = [rng.standard_normal((size, RANK)) for size in case.others]
    model = np.einsum("tr,ir,jr->tij", days, *others)
    return case.scale * model / (model.mean() if is_positive else model.std())


def data_set(case: Case, seed: int, number: int) -> dict[str, float]:
    rng = np.random.default_rng([seed, number, *repr(case.planted).encode(), *case.days.encode()])
    model = planted(case, rng)
    data = np.asarray(case.planted.sample_dispersed(model, rng, case.dispersion), dtype=float)
    design = None
    if case.days == "waves":
        is_positive = case.planted.model_domain.low >= 0
        week = gcp.designs.bspline(6, cyclic=True, ends=(0, 7)) if is_positive else gcp.designs.fourier(7, 2)
        design = {"day": week}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gcp.UndeterminedWarning)
        result = gcp.fit_gcp(
            data[: case.n_days],
            RANK,
            loss=case.fitted,
            modes=["day", "place", "kind"],
            design=design,
            n_starts=2,
            random_state=number,
        )
    came = data[case.n_days :]
    forecast = result.forecast(HORIZON, "day", random_state=number)
    low, high = forecast.interval(LEVEL)
    held = (came >= low) & (came <= high)
    drawn = forecast.sample(1000, number)
    v = rng.random(came.shape)
    u = (drawn < came).mean(axis=0) + v * (drawn == came).mean(axis=0)
    scores = proper_scores(forecast, came)
    truth = -case.planted.log_likelihood(came, model[case.n_days :], case.dispersion)
    return {
        "held": held.mean(),
        "first": held[0].mean(),
        "last": held[-1].mean(),
        "randomised": (np.abs(u - 0.5) < LEVEL / 2).mean(),
        "logarithmic": scores.logarithmic,
        "truth": truth.mean(),
        "ranked": scores.ranked_probability,
    }


def row(name: str, found: list[dict[str, float]]) -> dict[str, object]:
    mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    spread = float(np.std([one["held"] for one in found], ddof=1) / np.sqrt(len(found)))
    return {
        "loss and days": name,
        "data sets": len(found),
        "held": round(mean["held"], 3),
        "standard error": round(spread, 3),
        "randomised": round(mean["randomised"], 3),
        "first day": round(mean["first"], 3),
        "last day": round(mean["last"], 3),
        "logarithmic score": round(mean["logarithmic"], 3),
        "of the truth": round(mean["truth"], 3),
        "ranked probability score": round(mean["ranked"], 3),
    }


def draw(rows: list[dict]):
    figure, axes = panels(1, 1, 7, 0.6 + 0.35 * len(rows))
    ax = axes[0, 0]
    y = np.arange(len(rows))[::-1]
    ax.axvspan(0.87, 0.93, color="0.93")
    ax.axvline(LEVEL, color="0.6", linewidth=1)
    errors = [2 * row["standard error"] for row in rows]
    ax.errorbar([row["held"] for row in rows], y + 0.1, xerr=errors, fmt="o", color=BLUE, label="held")
    ax.plot([row["randomised"] for row in rows], y - 0.1, "s", color=RED, label="randomised")
    ax.set_yticks(y, [row["loss and days"] for row in rows])
    ax.set_xlabel("share within the 90 % interval")
    ax.legend()
    return figure


if __name__ == "__main__":
    main()
