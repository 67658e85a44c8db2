"""Car parks a day ahead: `result.forecast` beside yesterday and last week.

    python scripts/experiments/car_parks.py [--quick] [--seed 0] [--out results/car_parks] [--data DIR]

Cars in 30 car parks of Birmingham in 77 days, at 18 half-hours of each; 0 is missing, as in the study that the tensor
is from (two parks have nearly no data, four days none at all). Each of the last days is forecast from all days before
it: a fit under the gamma loss, and autoregressions of the components with yesterday's and last week's rows
(`result.forecast(1, "day", lags=[1, 7])`). The rank is the one with the least ranked probability score on days 42 to
56; judged are days 57 to 76. "Last week" and "yesterday" repeat the same half-hour of seven days and of one day
before. All are judged on cells that last week had, too. The ranked probability score (CRPS) of a forecast that names
one number is its mean absolute error, so that it compares the two kinds.

Found: last week is far better than yesterday, and hard to beat. The forecast's mean is further off in absolute error
(65.9 cars, 56.7) and as far in the mean square (108.6, 110.7); as distributions, forecasts are better (49.7, 56.7):
their 90 % intervals hold 92 %. Low ranks are too coarse for half-hours of single parks.

No published figure is reproduced: the study that the data are from is of imputation, not of forecasts.

Data: transdim, `datasets/Birmingham-data-set` (repository MIT), not in this package: needed is traffic/traffic.npz in
the folder DIR or $GCP_DATA (data/README.md).

Writes chosen.csv, scores.csv, run.json and car_parks.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, ORANGE, Run, panels

import gcp
from gcp.analysis import proper_scores

RANKS = (4, 8, 20, 30)
LAGS = (1, 7)
VALIDATION, TEST = range(42, 57), range(57, 77)


def main() -> None:
    run = Run(__doc__, "car_parks", quick="ranks 2 and 3, two days each")
    cars = run.load("traffic/traffic.npz")["birmingham"].astype(float)
    cars[cars == 0] = np.nan
    validation, test = (days(cars, range_, run.quick) for range_ in (VALIDATION, TEST))
    rows = [judged(cars, rank, validation, run.seed) for rank in ((2, 3) if run.quick else RANKS)]
    run.table("chosen", "A day ahead, days 42 to 56, by rank", rows)
    best = min(rows, key=lambda row: row["ranked probability score"])["rank"]
    rows = [judged(cars, best, test, run.seed), *(repeated(cars, lag, test) for lag in (7, 1))]
    run.table("scores", "A day ahead, days 57 to 76", rows)
    run.finish(draw(cars, best, test[-1], run.seed))


def days(cars, range_, is_quick) -> list[int]:
    """Those that have data, and had a week before."""
    found = [day for day in range_ if compared(cars, day).any()]
    return found[-2:] if is_quick else found


def ahead(cars, rank, day, seed) -> gcp.FitResult:
    """The forecast of a day, from those before."""
    data = gcp.DenseTensor(
        cars[:, :day], labels=gcp.ModeLabels(["park", "day", "half-hour"], [None, np.arange(day), None])
    )
    result = gcp.fit_gcp(data, rank, loss="gamma", random_state=seed, n_iter_max=100)
    return result.forecast(1, "day", lags=LAGS, random_state=seed)


def compared(cars, day):
    """Which cells of a day are judged: known, and known a week before."""
    return np.isfinite(cars[:, day]) & np.isfinite(cars[:, day - 7])


def judged(cars, rank, some, seed) -> dict[str, object]:
    """Scores of the forecasts of some days."""
    errors, held, scores = [], [], []
    for day in some:
        forecast, came = ahead(cars, rank, day, seed), cars[:, [day]]
        keep = compared(cars, day)
        low, high = forecast.interval(0.9)
        held.append(((low <= came) & (came <= high))[:, 0][keep])
        errors.append(np.column_stack([(forecast.mean - came)[:, 0][keep], came[:, 0][keep]]))
        own = proper_scores(forecast, came, mask=keep[:, None])
        scores.append([own.ranked_probability, keep.sum()])
    score, weight = np.transpose(scores)
    return row(f"rank {rank}", rank, np.concatenate(errors)) | {
        "ranked probability score": round(float(np.average(score, weights=weight)), 1),
        "within 90 %": round(float(np.concatenate(held).mean()), 3),
    }


def repeated(cars, lag, some) -> dict[str, object]:
    """Scores of the numbers of an earlier day; the ranked probability score of one number is the absolute error."""
    errors = []
    for day in some:
        both = np.column_stack([(cars[:, day - lag] - cars[:, day]).ravel(), cars[:, day].ravel()])
        errors.append(both[compared(cars, day).ravel() & np.isfinite(both).all(axis=1)])
    found = row({1: "yesterday", 7: "last week"}[lag], "", np.concatenate(errors))
    return found | {"ranked probability score": found["mean absolute error"], "within 90 %": ""}


def row(name, rank, errors) -> dict[str, object]:
    error, came = np.abs(errors[:, 0]), errors[:, 1]
    return {
        "forecast": name,
        "rank": rank,
        "cells": len(error),
        "mean absolute error": round(float(error.mean()), 1),
        "root mean square": round(float(np.sqrt(np.mean(error**2))), 1),
        "relative error": round(float(np.mean(error / came)), 3),
    }


def draw(cars, rank, day, seed):
    """One day in the parks with most cars."""
    forecast = ahead(cars, rank, day, seed)
    low, high = forecast.interval(0.9)
    parks = np.argsort(-np.nan_to_num(np.nanmean(np.where(np.isfinite(cars), cars, 0), axis=(1, 2))))[:6]
    figure, axes = panels(2, 3, 9, 4.5, sharex=True)
    hours = 8 + 0.5 * np.arange(cars.shape[2])
    for ax, park in zip(axes.flat, parks, strict=False):
        ax.fill_between(hours, low[park, 0], high[park, 0], color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(hours, forecast.mean[park, 0], color=BLUE, label="forecast, 90 %")
        ax.plot(hours, cars[park, day], "o", color="0.2", markersize=3, label="came")
        ax.plot(hours, cars[park, day - 7], color=ORANGE, linewidth=1, label="last week")
        ax.set_title(f"park {park}", fontsize=9)
    axes[0, 0].legend(fontsize=7)
    axes[1, 1].set_xlabel("hour")
    return figure


if __name__ == "__main__":
    main()
