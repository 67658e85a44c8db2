"""Bikes of Oslo: five modes of counts, days and seasons.

    python scripts/experiments/oslo_bikes.py [--quick] [--seed 0] [--out results/oslo_bikes] [--data DIR]

Trips of Oslo's bike-share scheme, in two tensors. By station, year, month, weekday and hour (270 x 2 x 12 x 7 x 24,
2020 and 2021, each cell the trips of a month): which components, how they share out the day, the week, the year and
the town, and which loss predicts held-out cells. By station, day and hour (259 x 231 x 24, April to November 2021),
with hours that are not observed: does the model of days know what a weekday is, of which it is told nothing?

The gallery of the package tlviz analyses the first tensor with Gaussian PARAFAC (from memory; no digits are quoted).
Here months without a trip in the whole town and stations without a trip in a year are missing, not 0. Gaussian is
nonnegative; to be comparable with counts, its normal density is integrated over x - 1/2 to x + 1/2 (of 0: from minus
infinity). Checked: the closed form of rank 1 under Poisson, which is the product of the margins of the whole tensor.

Data: Oslo Bysykkel, NLOD 2.0, through PyPI tlviz 0.1.1 and matcouply 0.2.0; needed are norway_bikes/oslo_5way.npz and
norway_bikes/oslo.npz in DIR or $GCP_DATA (data/README.md).

Writes losses.csv, components.csv, days.csv, run.json and oslo_bikes.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run
from scipy.stats import norm

import gcp

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
RANK, DAY_RANK = 4, 4
COLORS = (BLUE, ORANGE, GREEN, PURPLE)


def main() -> None:
    run = Run(__doc__, "oslo_bikes", quick="ranks 1 and 2, few iterations")
    limit = {"n_iter_max": 20} if run.quick else {}
    bikes, counts = by_year(run)
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
    run.finish(draw(result, names, run.load("norway_bikes/oslo_5way.npz"), days))


def by_year(run) -> tuple[gcp.DenseTensor, np.ndarray]:
    """The first tensor, with labels, and the raw counts."""
    data = run.load("norway_bikes/oslo_5way.npz")
    x = data["X"].astype(float)
    known = (x.sum(axis=(0, 3, 4)) > 0)[None, :, :] & (x.sum(axis=(2, 3, 4)) > 0)[:, :, None]
    known = np.broadcast_to(known[..., None, None], x.shape)
    labels = gcp.ModeLabels(
        ["station", "year", "month", "weekday", "hour"],
        [data["station"], data["year"], data["month"], np.array(DAYS), data["hour"]],
    )
    return gcp.DenseTensor(x, mask=known, labels=labels), x


def check_rank_1(run, x) -> None:
    """A model of rank 1 that starts at random, against the product of the margins."""
    total, m = x.sum(), 1.0
    for n, size in enumerate(x.shape):
        margin = x.sum(axis=tuple(k for k in range(x.ndim) if k != n)) / total
        m = m * margin.reshape([size if k == n else 1 for k in range(x.ndim)])
    closed = total - float(np.sum(x[x > 0] * np.log(total * m[x > 0])))
    result = gcp.fit_gcp(x, 1, loss="poisson", random_state=run.seed, tol=1e-14)
    run.compare(
        "rank 1 under Poisson: sum of m - x log m, all cells",
        round(result.objective, 6),
        round(closed, 6),
        source="closed form from the margins",
        agrees=abs(result.objective / closed - 1) < 1e-9,
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
        for name in ("poisson", "negative-binomial", "Gaussian"):
            options = {"loss": gcp.NegativeBinomial(r="estimate")} if name == "negative-binomial" else {}
            if name == "Gaussian":
                options = {"bounds": (0, None)}
            options = {"loss": "poisson"} if name == "poisson" else options
            result = gcp.fit_gcp(split.train, rank, random_state=run.seed, **options, **limit)
            m = result.model_values()
            if name == "Gaussian":
                score = of_interval(seen, m[cells], np.sqrt(np.mean((x - m)[train] ** 2)))
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


def of_interval(x, m, sd) -> np.ndarray:
    """Log-probability of a rounded normal variable, with 0 for all that is below 1/2."""
    low, high = np.where(x == 0, -np.inf, (x - 0.5 - m) / sd), (x + 0.5 - m) / sd
    flip = low > 0  # by symmetry, to the tail where the probability keeps its digits
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    upper, lower = norm.logcdf(b), norm.logcdf(a)
    return upper + np.log1p(-np.exp(lower - upper))


# --- what the components are ------------------------------------------------------------------------------


def kind(result, r) -> str:
    """A name from the hours and days at which a component has most of its trips."""
    hours, days = (result.factors[n][:, r] / result.factors[n][:, r].sum() for n in (4, 3))
    peak, weekend = int(np.argmax(hours)), float(days[5:].sum())
    part = (
        "night" if peak < 5 or peak > 20 else "morning" if peak < 11 else "day" if peak < 15 else "afternoon"
    )
    when = "weekends" if weekend > 0.4 else "working days" if weekend < 0.15 else "all days"
    return f"{part}, {when}"


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
    x, dates = data["X"].astype(float), data["date"].astype("datetime64[D]")
    weekday = (dates.astype(int) + 3) % 7  # 1970-01-01 was a Thursday
    split = gcp.hold_out(gcp.DenseTensor(x, mask=x >= 0), 0.1, run.seed, keep=0.5)
    judged = gcp.fit_gcp(split.train, DAY_RANK, loss="poisson", random_state=run.seed, **limit)
    print(
        f"\nDays: deviance explained of held-out cells {judged.deviance_explained(split.test):.1%}; "
        f"{np.mean(x < 0):.1%} of the cells are not observed"
    )
    result = gcp.fit_gcp(x, DAY_RANK, loss="poisson", mask=x >= 0, random_state=run.seed, **limit)
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


def draw(result, names, data, days):
    """A row for each component: town, months, days, hours; below, the days of one component of the second tensor."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 1.75 * RANK + 2.4), layout="constrained")
    grid = figure.add_gridspec(RANK + 1, 4, width_ratios=(1.3, 1, 0.8, 1.2))
    for r in range(RANK):
        place, months, week, hours = (figure.add_subplot(grid[r, k]) for k in range(4))
        shares = [a[:, r] / a[:, r].sum() for a in result.factors]
        place.scatter(
            data["lon"], data["lat"], s=2 + 1500 * shares[0], color=COLORS[r], alpha=0.5, linewidths=0
        )
        place.set_aspect(1 / np.cos(np.radians(np.mean(data["lat"]))))
        place.set_xticks([])
        place.set_yticks([])
        place.set_ylabel(f"{r}: {names[r]}", fontsize=7)
        months.bar(data["month"], shares[2], color=COLORS[r])
        months.set_xticks([1, 4, 7, 10], ["Jan", "Apr", "Jul", "Oct"])
        week.bar(range(7), shares[3], color=COLORS[r])
        week.set_xticks(range(7), [day[0] for day in DAYS])
        hours.bar(data["hour"], shares[4], color=COLORS[r])
        hours.set_xticks([0, 6, 12, 18])
        titles = ("arrivals by station", "month", "weekday", "hour")
        for ax, title in zip((place, months, week, hours), titles, strict=True):
            ax.spines[["top", "right"]].set_visible(False)
            ax.tick_params(labelsize=7)
            if r == 0:
                ax.set_title(title, fontsize=8)
    dates, weekday, column, r = days
    ax = figure.add_subplot(grid[RANK, :])
    ax.plot(dates, column, color="0.8", lw=0.8, zorder=1)
    for where, color, label in (
        (weekday < 5, BLUE, "Monday to Friday"),
        (weekday > 4, RED, "Saturday, Sunday"),
    ):
        ax.plot(dates[where], column[where], "o", ms=3, color=color, label=label)
    ax.set_title(f"component {r} of stations, days and hours: its column of days", fontsize=8)
    ax.legend(fontsize=7, frameon=False, loc="upper right")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=7)
    return figure


if __name__ == "__main__":
    main()
