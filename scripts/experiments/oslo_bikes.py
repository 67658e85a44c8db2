"""Bikes of Oslo: five modes of counts, days and seasons.

    python scripts/experiments/oslo_bikes.py [--quick] [--seed 0] [--out results/oslo_bikes] [--data DIR]

Trips of Oslo's bike-share scheme, in two tensors. By station, year, month, weekday and hour (270 x 2 x 12 x 7 x 24,
2020 and 2021, each cell the trips of a month): which components, how they share out the day, the week, the year and
the town, and which loss predicts held-out cells. By station, day and hour (259 x 231 x 24, April to November 2021),
with hours that are not observed: does the model of days know what a weekday is, of which it is told nothing?

The gallery of the package tlviz analyses the first tensor with Gaussian PARAFAC (from memory; no digits are quoted).
Its months without service are zeros. Here a month of a station without any arrival is missing, not 0: January and
February 2020 in the whole town, and 6 to 9 % of the stations in every other month. Were only whole years without
arrivals missing, two components of rank 4 would be one and the same, in 2020 and in 2021. The hours from 1 to 5, when
the scheme is closed, stay zeros. Gaussian is nonnegative; to be comparable with counts, its normal density is
integrated over x - 1/2 to x + 1/2 (of 0: from minus infinity). Rank 4 is for reading: all losses predict better at 6.
Checked to six decimals: the best rank-1 Poisson objective, all cells, which has a closed form.

Of the second tensor hours 1 to 5 are never observed and hour 0 on three days; of the others some are missing, most
of them early on Saturdays and Sundays, where few arrive. Why is not known; they are not missing at random, and what
is expected there is tested by nothing. Tested are cells held out one by one, and whole hours of the town.

Data: Oslo Bysykkel, NLOD 2.0, through PyPI tlviz 0.1.1 and matcouply 0.2.0; needed are norway_bikes/oslo_5way.npz and
norway_bikes/oslo.npz in DIR or $GCP_DATA (data/README.md).

Writes losses.csv, components.csv, hours.csv, unobserved.csv, days.csv, run.json and oslo_bikes.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, log_of_rounded_normal, panels

import gcp

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LOSSES = {
    "poisson": {"loss": "poisson"},
    "negative-binomial": {"loss": gcp.NegativeBinomial(r="estimate")},
    "Gaussian": {"bounds": (0, None)},
}
RANK, DAY_RANK = 4, 4
COLORS = (BLUE, ORANGE, GREEN, PURPLE)


def main() -> None:
    run = Run(__doc__, "oslo_bikes", quick="ranks 1 and 2, few iterations, every sixth station")
    limit = {"n_iter_max": 20} if run.quick else {}
    bikes, counts, where = by_year(run)
    check_rank_1(run, counts)
    run.table(
        "losses",
        "A tenth of the known cells held out: log-likelihood in nats per cell, and deviance of the loss explained",
        losses(run, bikes, counts, limit),
    )
    result = gcp.fit_gcp(
        bikes, RANK, loss="poisson", n_starts=1 if run.quick else 3, random_state=run.seed, **limit
    )
    names = [kind(result, r) for r in range(RANK)]
    run.table("components", f"Poisson components, rank {RANK}, of all known cells", named(result, names))
    days, table = by_day(run, limit)
    run.table(
        "days",
        f"Poisson model of days and hours, rank {DAY_RANK}: what weekdays explain of its column of days",
        table,
    )
    run.finish(draw(result, names, where, days))


def by_year(run) -> tuple[gcp.DenseTensor, np.ndarray, np.ndarray]:
    """The first tensor, with labels; the raw counts; longitudes and latitudes of the stations."""
    data = run.load("norway_bikes/oslo_5way.npz")
    kept = slice(None, None, 6 if run.quick else 1)
    x = data["X"][kept].astype(float)
    known = np.broadcast_to((x.sum(axis=(3, 4)) > 0)[..., None, None], x.shape)
    labels = gcp.ModeLabels(
        ["station", "year", "month", "weekday", "hour"],
        [data["station"][kept], data["year"], data["month"], np.array(DAYS), data["hour"]],
    )
    where = np.column_stack([data["lon"], data["lat"]])[kept]
    return gcp.DenseTensor(x, mask=known, labels=labels), x, where


def check_rank_1(run, x) -> None:
    """A model of rank 1 that starts at random, against the product of the margins."""
    total, m = x.sum(), 1.0
    for n, size in enumerate(x.shape):
        margin = x.sum(axis=tuple(k for k in range(x.ndim) if k != n)) / total
        m = m * margin.reshape([size if k == n else 1 for k in range(x.ndim)])
    closed = total - float(np.sum(x[x > 0] * np.log(total * m[x > 0])))
    # eps, which is added inside the logarithm, would show in the third decimal.
    result = gcp.fit_gcp(x, 1, loss=gcp.Poisson(eps=1e-14), random_state=run.seed, tol=0.0)
    run.compare(
        "rank 1 under Poisson: sum of m - x log m, all cells",
        f"{result.objective:.6f}",
        f"{closed:.6f}",
        source="closed form from the margins",
        agrees=abs(result.objective - closed) < 1e-6,
    )


# --- which loss -------------------------------------------------------------------------------------------


def losses(run, bikes, x, limit) -> list[dict]:
    """Every loss and rank on the same held-out cells."""
    split = gcp.hold_out(bikes, 0.1, run.seed, keep=0.5)
    cells = tuple(split.test.subs.T)
    seen = x[cells]
    train = np.asarray(split.train.entry_weights) > 0
    rows = []
    for rank in (1, 2) if run.quick else (1, 2, 4, 6):
        for name, options in LOSSES.items():
            result = gcp.fit_gcp(split.train, rank, random_state=run.seed, **options, **limit)
            m = result.model_values()
            if name == "Gaussian":
                score = log_of_rounded_normal(seen, m[cells], np.sqrt(np.mean((x - m)[train] ** 2)))
            else:
                score = result.loss.log_likelihood(seen, m[cells])
            rows.append(
                {
                    "rank": rank,
                    "loss": name,
                    "log-likelihood": round(float(np.mean(score)), 4),
                    "deviance explained": f"{result.deviance_explained(split.test):.1%}",
                    "r": round(result.loss.r, 3) if name == "negative-binomial" else None,
                    "converged": result.converged,
                }
            )
            print(rows[-1], flush=True)
    return rows


# --- what the components are ------------------------------------------------------------------------------


def kind(result, r) -> str:
    """A name from the hours, days and months at which a component has most of its trips."""
    hours, days = (result.factors[n][:, r] / result.factors[n][:, r].sum() for n in (4, 3))
    peak, weekend = int(np.argmax(hours)), float(days[5:].sum())
    part = (
        "night" if peak < 5 or peak > 20 else "morning" if peak < 11 else "day" if peak < 15 else "afternoon"
    )
    when = "weekends" if weekend > 0.4 else "working days" if weekend < 0.15 else "all days"
    summer = float(result.factors[2][5:8, r].sum() / result.factors[2][:, r].sum())
    season = ", summer" if summer > 0.5 else ", spring and autumn" if summer < 0.25 else ""
    return f"{part}, {when}{season}"


def named(result, names) -> list[dict]:
    """Each component by its stations, seasons, days and hours."""
    stations = result.labels.coords[0]
    total = result.weights * np.prod([a.sum(axis=0) for a in result.factors], axis=0)
    rows = []
    for r, name in enumerate(names):
        shares = [a[:, r] / a[:, r].sum() for a in result.factors]
        top = np.argsort(-shares[0])[:3]
        rows.append(
            {
                "component": f"{r}: {name}",
                "share of trips": f"{total[r] / total.sum():.0%}",
                "peak hour": int(np.argmax(shares[4])),
                "weekend": f"{shares[3][5:].sum():.0%}",
                "months June to August": f"{shares[2][5:8].sum():.0%}",
                "2021": f"{shares[1][1]:.0%}",
                "stations": ", ".join(str(stations[k]) for k in top),
            }
        )
    return rows


def by_day(run, limit):
    """The second tensor: days and their columns, and how much of each weekdays explain."""
    data = run.load("norway_bikes/oslo.npz")
    x, dates = data["X"][:: 6 if run.quick else 1].astype(float), data["date"].astype("datetime64[D]")
    weekday = (dates.astype(int) + 3) % 7  # 1970-01-01 was a Thursday
    held_out_hours(run, x, limit)
    result = gcp.fit_gcp(x, DAY_RANK, loss="poisson", mask=x >= 0, random_state=run.seed, **limit)
    missing_hours(run, x, result, weekday)
    rows, shares = [], []
    for r in range(DAY_RANK):
        column, hours = result.factors[1][:, r], result.factors[2][:, r]
        means = np.array([column[weekday == k].mean() for k in range(7)])
        explained = 1 - np.var(column - means[weekday]) / np.var(column)
        shuffled = np.random.default_rng(run.seed).permutation(weekday)
        other = np.array([column[shuffled == k].mean() for k in range(7)])
        shares.append(explained)
        rows.append(
            {
                "component": r,
                "peak hour": int(np.argmax(hours)),
                "weekdays explain": f"{explained:.0%}",
                "shuffled weekdays explain": f"{1 - np.var(column - other[shuffled]) / np.var(column):.0%}",
                "Sat and Sun to Mon to Fri": round(
                    float(means[5:].mean() / max(means[:5].mean(), 1e-300)), 2
                ),
            }
        )
    best = int(np.argmax(shares))
    return (dates, weekday, result.factors[1][:, best], best), rows


def held_out_hours(run, x, limit) -> None:
    """Cells held out one by one, and hours of the whole town, as missing ones are."""
    known, rng = x >= 0, np.random.default_rng(run.seed)
    whole = known.any(axis=0) & (rng.random(x.shape[1:]) < 0.1)
    towns = np.where(known, x, 0).sum(axis=0)[whole]
    rows = []
    for rank in (1, 2) if run.quick else (1, 2, 4, 6):
        split = gcp.hold_out(gcp.DenseTensor(x, mask=known), 0.1, run.seed, keep=0.5)
        cells = gcp.fit_gcp(split.train, rank, loss="poisson", random_state=run.seed, **limit)
        town = gcp.fit_gcp(x, rank, loss="poisson", mask=known & ~whole, random_state=run.seed, **limit)
        expected = town.predict().sum(axis=0)[whole]
        rows.append(
            {
                "rank": rank,
                "single cells": f"{cells.deviance_explained(split.test):.1%}",
                "whole hours": f"{town.deviance_explained(x, mask=known & whole):.1%}",
                "r of their arrivals in the town": round(float(np.corrcoef(towns, expected)[0, 1]), 3),
            }
        )
    run.table("hours", "Poisson model of days and hours: deviance explained, a tenth held out", rows)


def missing_hours(run, x, result, weekday) -> None:
    """What the model expects in hours of the day that are missing on some days only."""
    known, expected = (x >= 0).any(axis=0), result.predict().sum(axis=0)
    towns = np.where(x >= 0, x, 0).sum(axis=0)
    rows = []
    for hour in range(x.shape[2]):
        seen, missing = known[:, hour], ~known[:, hour]
        if seen.sum() > missing.sum() > 1:
            rows.append(
                {
                    "hour": hour,
                    "days missing": int(missing.sum()),
                    "of these Sat, Sun": int(np.sum(missing & (weekday > 4))),
                    "arrivals in the town, mean of observed": round(float(towns[seen, hour].mean()), 1),
                    "least observed": int(towns[seen, hour].min()),
                    "expected where missing": round(float(expected[missing, hour].mean()), 1),
                }
            )
    rows = rows or [{"hour": None, "days missing": 0}]
    caption = (
        f"Hours missing on two days or more, but not on most; of all hours {np.mean(~known):.1%} are missing"
    )
    run.table("unobserved", caption, rows)


def draw(result, names, where, days):
    """A row for each component: town, years, months, days, hours; below, the days of one of the second tensor."""
    figure, axes = panels(RANK + 1, 5, 10.5, 1.75 * RANK + 2.6, width_ratios=(1.3, 0.35, 1, 0.8, 1.2))
    longitude, latitude = where.T
    years, month, _, hour = (result.labels.coords[n] for n in (1, 2, 3, 4))
    for r, line in enumerate(axes[:RANK]):
        shares = [a[:, r] / a[:, r].sum() for a in result.factors]
        line[0].scatter(longitude, latitude, s=2 + 1500 * shares[0], color=COLORS[r], alpha=0.5, linewidths=0)
        line[0].set_aspect(1 / np.cos(np.radians(np.mean(latitude))))
        line[0].set_ylabel(f"{r}: {names[r]}\nlatitude", fontsize=7)
        for ax, at, share in zip(line[1:], (years, month, np.arange(7), hour), shares[1:], strict=True):
            ax.bar(at, share, color=COLORS[r])
        line[1].set_xticks(years, [str(year)[2:] for year in years])
        line[2].set_xticks([1, 4, 7, 10], ["Jan", "Apr", "Jul", "Oct"])
        line[3].set_xticks(range(7), [day[0] for day in DAYS])
        line[4].set_xticks([0, 6, 12, 18])
    titles = ("arrivals by station", "year", "month", "weekday", "hour")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title if title == "arrivals by station" else f"{title}, share", fontsize=9)
    axes[RANK - 1, 0].set_xlabel("longitude", fontsize=8)
    grid = axes[RANK, 0].get_gridspec()
    for ax in axes[RANK]:
        ax.remove()
    dates, weekday, column, r = days
    ax = figure.add_subplot(grid[RANK, :])
    ax.set_ylabel("activity", fontsize=8)
    ax.plot(dates, column, color="0.8", lw=0.8, zorder=1)
    for chosen, color, label in (
        (weekday < 5, BLUE, "Monday to Friday"),
        (weekday > 4, RED, "Saturday, Sunday"),
    ):
        ax.plot(dates[chosen], column[chosen], "o", ms=3, color=color, label=label)
    ax.set_title(f"component {r} of stations, days and hours: its column of days", fontsize=8)
    ax.legend(fontsize=7, frameon=False, loc="upper right")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=7)
    return figure


if __name__ == "__main__":
    main()
