"""Months without rain in India: Tweedie and hurdle-gamma models beside gamma models of the wet months.

    python scripts/experiments/dry_months.py [--quick] [--seed 0] [--out results/dry_months]

Monthly rain in 36 regions over 115 years: of 49,322 known cells 3,628 are 0, less than 0.05 mm, most of them in the
west from November to April. No gamma variable is 0. Here every model has to say of a cell both how likely a dry
month is and how much a wet one brings. A hurdle's gate, the chance of a dry month, tells its amounts nothing and
learns nothing from them: one fit of the wet cells serves four gates. These are one number (`HurdleGamma()`), one for
each month (`by="month"`), the share of dry years of a region and month, (dry + 1) / (years + 2), and a CP model of
its own, which hydrologists call one of occurrence: Bernoulli, logit link, main effects, ridge 1, and always rank 3.
The Tweedie model has one set of components for both: a cell of mean m is 0 with the probability
exp(-m**(2 - p) / ((2 - p) phi)), with the likeliest power p (`Tweedie(power="estimate")`) and dispersion phi.

Asked is what each says of cells that it has not seen: a tenth of all cells at random, and twelve years in a row, in
all months, of each region (`hold_out(scheme="blocks", mode="year", by="subdivision")`), as if its gauges had been
silent. All are judged by the same density, in nats per cell: the probability of 0, and a density per mm above. It is
the sum of what is said of dry or wet, and of the amounts of wet cells. As the data are whole tenths of a millimetre,
the probability of the tenth that was recorded is there too, per 0.1 mm (that of 0 is P(X < 0.05) under Tweedie; the
gate, and a gamma variable above 0.05, of hurdles). Amounts in January vary more about their mean than in July: beside
one dispersion for all cells, each month's own, the likeliest beside the same components. The Brier score is the mean
square of chance less outcome; CRPS, the continuous ranked probability score, is from a hundred draws under each
month's dispersion. A mean below 0.05 mm is taken as 0.05 mm: components may be 0 where all that was seen is dry or
next to it, and one wet cell there would decide the sum, as in a trial at rank 8. The Bernoulli model's rank did well
in a trial on one of the splits. Error bars of shares take cells for independent, which neighbours are not.

Then what becomes of totals: the mean of wet months is no expectation of rain where months are dry.

    gcp fit india_rainfall --loss tweedie --param power=estimate --rank 5 --seed 0 \\
        --test-fraction 0.1 --hold-out blocks:year:by=subdivision --out tweedie.npz --plot tweedie.png
    gcp fit india_rainfall --loss hurdle-gamma --param by=month --rank 5 --seed 0 --out hurdle.npz

Figures that are checked: the hurdle's log-likelihood, as SciPy's gamma density of the wet cells alone and binomial
probabilities; the Tweedie log-likelihood, as sums over Poisson numbers of gamma amounts; and that the power is the
likeliest.

Data: India Meteorological Department through data.gov.in (Government Open Data License - India), bundled.

Writes heldout.csv, chosen.csv, calibration.csv, totals.csv, components.csv, run.json and dry_months.png.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels
from scipy import special, stats
from scipy.optimize import linear_sum_assignment

import gcp

ONE, MONTH, TABLE, OWN, TWEEDIE = (
    "hurdle, one gate",
    "hurdle, gate by month",
    "hurdle, share of region and month",
    "hurdle, Bernoulli model",
    "Tweedie",
)
COLORS = {ONE: "0.6", MONTH: ORANGE, TABLE: GREEN, OWN: PURPLE, TWEEDIE: BLUE}
SCHEMES = {"cells": {}, "years of a region": {"scheme": "blocks", "mode": "year", "by": "subdivision"}}
GROUPS = (0.0, 0.005, 0.05, 0.2, 0.4, 1.0)
EDGES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0)
OF_PARTS = (BLUE, ORANGE, GREEN, PURPLE, RED, "0.4", "#56B4E9", "#F0E442")
DRAWS, HALF = 100, 0.05  # of each cell; mm, half the step of the data
FULL = 5  # rank of the fits to all cells
OCCURRENCE = 3  # rank of the Bernoulli model


@dataclass(frozen=True)
class Forecast:
    """What a model says of cells: mean of the amounts or of all (n,), gates (n,) or the Tweedie loss, dispersions."""

    m: np.ndarray
    gate: np.ndarray | None
    dispersions: np.ndarray  # by month
    loss: gcp.Loss

    def at(self, chosen):
        """The loss of some cells, each with its own gate."""
        if self.gate is None:
            return self.loss
        return gcp.HurdleGamma(gate=tuple(self.gate[chosen].tolist()), by=0).at(np.arange(int(chosen.sum())))

    def each(self, months, function):
        """A function (loss, m, dispersion, cells) of the cells, month by month."""
        found = np.empty(len(self.m))
        for month, dispersion in enumerate(self.dispersions):
            chosen = months == month
            if chosen.any():
                found[chosen] = function(self.at(chosen), self.m[chosen], dispersion, chosen)
        return found


def main() -> None:
    run = Run(__doc__, "dry_months", quick="the last thirty years, ranks 1 and 2, one split, few iterations")
    ranks, splits, steps = ((1, 2), 1, 20) if run.quick else ((1, 3, 5), 2, None)
    rain = run.dataset("india_rainfall")
    rain = last_years(rain, 30) if run.quick else rain
    rows, seen = [], []
    for scheme, how in SCHEMES.items():
        for split in range(run.seed, run.seed + splits):
            train, test = gcp.hold_out(rain, 0.1, split, **how)
            occurrence = fitted_occurrence(train, split, steps)
            for rank in ranks:
                fits = fitted(train, rank, split, steps) | occurrence
                for model, forecasts in predicted(train, test, fits).items():
                    own = {"held out": scheme, "split": split, "model": model, "rank": rank}
                    rows.append(own | judged(test, *forecasts, np.random.default_rng(split)))
                    seen.append((own, chance_of_dry(forecasts[0], test), test.values == 0))
                print(f"{scheme}, split {split}, rank {rank} done", flush=True)
    run.csv("heldout", rows)
    chosen = [best(rows, scheme, model) for scheme in SCHEMES for model in COLORS]
    run.table("chosen", f"At the rank that held-out cells prefer; means of {splits} splits", chosen)
    points = [calibrated(seen, row) for row in chosen if row["held out"] != "cells"]
    points = [point for own in points for point in own]
    run.csv("calibration", points)
    rank = 2 if run.quick else FULL
    fits = fitted(rain, rank, run.seed, steps) | fitted_occurrence(rain, run.seed, steps)
    check(run, rain, fits, steps)
    means = expectations(rain, fits)
    run.table("totals", f"Expected beside fallen rain, rank {rank}, all cells", totals(rain, means))
    shown = {"hurdle": fits[MONTH], "Tweedie": fits[TWEEDIE]}
    run.table("components", f"Components at rank {rank}", components(shown))
    run.finish(draw(rows, points, rain, means, shown))


def last_years(rain, n):
    """The data of the last years."""
    regions, months, years = rain.labels.coords
    labels = gcp.ModeLabels(rain.labels.names, (regions, months, years[-n:]))
    return gcp.DenseTensor(rain.values[..., -n:], labels=labels, mask=rain.entry_weights[..., -n:] > 0)


def fitted(train, rank, seed, steps):
    """The fits of wet amounts, under a hurdle, and of all cells at once."""
    options = {"random_state": seed, "n_iter_max": steps}
    return {
        MONTH: gcp.fit_gcp(train, rank, loss=gcp.HurdleGamma(by="month"), **options),
        TWEEDIE: gcp.fit_gcp(train, rank, loss=gcp.Tweedie(power="estimate"), **options),
    }


def fitted_occurrence(train, seed, steps):
    """The fit of dry or wet."""
    dry = gcp.DenseTensor((train.values == 0) * 1.0, mask=train.entry_weights > 0, labels=train.labels)
    options = {"main_effects": True, "l2_reg": 1.0, "random_state": seed, "n_iter_max": steps}
    return {OWN: gcp.fit_gcp(dry, OCCURRENCE, loss="bernoulli-logit", **options)}


def known(tensor):
    """The data with NaN where nothing is known, and which cells are known."""
    there = tensor.entry_weights > 0
    return np.where(there, tensor.values, np.nan), there


def share_of_dry(x):
    """The share of dry years of each region and month, so that none is 0 or 1; shape of the data."""
    share = (np.sum(x == 0, axis=2) + 1) / (np.sum(x >= 0, axis=2) + 2)
    return np.broadcast_to(share[:, :, None], x.shape)


def gates(train, fits):
    """The chance of a dry month in every cell, by model."""
    x, there = known(train)
    own = np.clip(fits[OWN].predict(), 1e-9, 1 - 1e-9)
    by_month = np.asarray(fits[MONTH].loss.gate)[None, :, None]
    found = {ONE: np.mean(x[there] == 0), MONTH: by_month, TABLE: share_of_dry(x), OWN: own}
    return {model: np.broadcast_to(gate, x.shape) for model, gate in found.items()}


def predicted(train, test, fits):
    """Forecasts of the held-out cells with one dispersion, and with one for each month."""
    at, found = tuple(test.subs.T), {}
    x, there = known(train)
    for model, gate in (gates(train, fits) | {TWEEDIE: None}).items():
        result = fits[TWEEDIE if gate is None else MONTH]
        loss = result.loss if gate is None else result.loss.positive
        cells, m = there if gate is None else x > 0, np.maximum(result.model_values(), HALF)
        of = [cells & (np.arange(12) == month)[None, :, None] for month in range(12)]
        by_month = np.array([loss.estimate_dispersion(x[one], m[one]) for one in of])
        single = np.full(12, loss.estimate_dispersion(x[cells], m[cells]))
        own = None if gate is None else gate[at]
        found[model] = [Forecast(m[at], own, phi, loss) for phi in (single, by_month)]
    return found


def chance_of_dry(forecast, test):
    """The probability of 0."""
    return forecast.each(
        test.subs[:, 1], lambda loss, m, phi, _: np.exp(loss.log_likelihood(np.zeros(len(m)), m, phi))
    )


def judged(test, single, by_month, rng) -> dict:
    """Scores of forecasts of held-out cells, with one dispersion and with one for each month."""
    x, months = test.values, test.subs[:, 1]
    dry, chance = x == 0, chance_of_dry(single, test)
    density, monthly = (
        f.each(months, lambda *own: own[0].log_likelihood(x[own[3]], *own[1:3])) for f in (single, by_month)
    )
    of_dry = np.where(dry, np.log(chance), np.log1p(-chance))
    recorded = single.each(months, lambda *own: log_of_recorded(x[own[3]], *own[:3]))
    return {
        "log-likelihood": float(density.mean()),
        "of dry or wet": float(of_dry.mean()),
        "of amounts": float((density - of_dry).mean()),
        "of recorded tenths": float(recorded.mean()),
        "a dispersion by month": float(monthly.mean()),
        "Brier score of dry": float(np.mean((chance - dry) ** 2)),
        "CRPS (mm)": float(crps(x, by_month, months, rng)),
    }


def log_of_recorded(x, loss, m, phi):
    """Log-probability of a recorded tenth of a millimetre, per 0.1 mm; of 0, as it is."""
    amounts, dry = getattr(loss, "positive", loss), x == 0
    low, high = np.maximum(x - HALF, HALF), np.where(dry, HALF, x + HALF)
    if amounts is not loss:
        wet = amounts.sf(np.full(len(x), HALF), m, phi)
        inside = between(amounts, np.where(dry, 1.0, low), np.where(dry, 2.0, high), m, phi) / wet
        return np.where(
            dry, np.log(loss.gate), np.log1p(-loss.gate) + np.log(np.maximum(inside, 1e-300) / (2 * HALF))
        )
    inside = between(loss, low, np.where(dry, 1.0, high), m, phi)
    return np.where(
        dry, np.log(loss.cdf(np.full(len(x), HALF), m, phi)), np.log(np.maximum(inside, 1e-300) / (2 * HALF))
    )


def between(loss, low, high, m, phi):
    """P(low < X <= high), from the smaller tail."""
    (below_low, above_low), (below_high, above_high) = loss.tails(low, m, phi), loss.tails(high, m, phi)
    return np.where(below_low < 0.5, below_high - below_low, above_low - above_high)


def crps(x, forecast, months, rng):
    """Mean of E|X - x| - E|X - X'| / 2 over the cells, of draws X."""

    def of_month(loss, m, phi, chosen):
        wide = np.repeat(m[:, None], DRAWS, axis=1)
        if forecast.gate is None:
            drawn = np.sort(loss.sample_dispersed(wide, rng, phi), axis=1)
        else:
            wet = rng.random(wide.shape) >= forecast.gate[chosen][:, None]
            drawn = np.sort(np.where(wet, loss.positive.sample_dispersed(wide, rng, phi), 0.0), axis=1)
        place = 2 * np.arange(DRAWS) - DRAWS + 1
        return np.abs(drawn - x[chosen][:, None]).mean(axis=1) - drawn @ place / (DRAWS * (DRAWS - 1))

    return forecast.each(months, of_month).mean()


def best(rows, scheme, model) -> dict:
    """Means over splits at the rank of the highest log-likelihood."""
    own = [row for row in rows if (row["held out"], row["model"]) == (scheme, model)]
    of = {
        rank: {
            k: round(float(np.mean([r[k] for r in own if r["rank"] == rank])), 4) for k in list(own[0])[4:]
        }
        for rank in dict.fromkeys(row["rank"] for row in own)
    }
    rank = max(of, key=lambda rank: of[rank]["log-likelihood"])
    return {"held out": scheme, "model": model, "rank": rank} | of[rank]


def calibrated(seen, row) -> list[dict]:
    """Predicted chances of a dry month beside the shares that were dry."""
    own = [
        found for found in seen if all(found[0][name] == row[name] for name in ("held out", "model", "rank"))
    ]
    chance, dry = (np.concatenate([found[k] for found in own]) for k in (1, 2))
    rows = []
    for low, high in pairwise(EDGES):
        inside = (chance >= low) & (chance < high)
        if inside.sum() >= 30:
            rows.append(
                {
                    "model": row["model"],
                    "cells": int(inside.sum()),
                    "predicted": float(chance[inside].mean()),
                    "observed": float(dry[inside].mean()),
                }
            )
    return rows


def check(run, rain, fits, steps):
    """Likelihoods beside SciPy's, and the power's beside those of others."""
    x, there = known(rain)
    wet = gcp.fit_gcp(
        rain, fits[MONTH].rank, loss="gamma", mask=x > 0, random_state=run.seed, n_iter_max=steps
    )
    m, values = wet.model_values()[x > 0], x[x > 0]
    k = 1 / wet.loss.estimate_dispersion(values, m)
    dry, n = np.sum(x == 0, axis=(0, 2)), np.sum(there, axis=(0, 2))
    own = stats.gamma.logpdf(values, k, scale=m / k).sum() + np.sum(
        special.xlogy(dry, dry / n) + special.xlog1py(n - dry, -dry / n)
    )
    ours = gcp.analysis.log_likelihood(fits[MONTH], rain)
    run.compare(
        "hurdle, gate by month: log-likelihood of all cells",
        round(ours, 2),
        round(float(own), 2),
        source="SciPy: gamma density of a fit to the wet cells alone, shares of dry cells",
        agrees=abs(ours - own) < 1e-6 * abs(own),
    )
    loss, m = fits[TWEEDIE].loss, fits[TWEEDIE].model_values()
    phi = loss.estimate_dispersion(x[there], m[there])
    some = np.flatnonzero(there.ravel())[::25]
    value, mean = x.ravel()[some], m.ravel()[some]
    ours, own = loss.log_likelihood(value, mean, phi).sum(), np.sum(by_amounts(value, mean, loss.power, phi))
    run.compare(
        f"Tweedie: log-likelihood of {len(some):,} cells",
        round(float(ours), 4),
        round(float(own), 4),
        source="SciPy: sums over Poisson numbers of gamma amounts",
        agrees=abs(ours - own) < 1e-7 * abs(own),
    )
    likelihoods = {}
    for step in (-0.02, 0.0, 0.02):
        other = gcp.Tweedie(power=loss.power + step)
        result = gcp.fit_gcp(rain, fits[TWEEDIE].rank, loss=other, init=fits[TWEEDIE], n_iter_max=steps)
        likelihoods[step] = gcp.analysis.log_likelihood(result, rain)
    run.compare(
        f"Tweedie: log-likelihood at the power {loss.power:.4f}",
        round(likelihoods[0.0], 2),
        f"{likelihoods[-0.02]:.2f}, {likelihoods[0.02]:.2f}",
        source="fits at powers less and greater by 0.02, which must be below",
        agrees=likelihoods[0.0] > max(likelihoods[-0.02], likelihoods[0.02]),
    )


def by_amounts(x, m, p, phi):
    """The log-density as a sum over the number of gamma amounts."""
    n = np.arange(1, 400)[:, None]
    rate, shape, scale = m ** (2 - p) / (phi * (2 - p)), (2 - p) / (p - 1), phi * (p - 1) * m ** (p - 1)
    terms = stats.poisson.logpmf(n, rate) + stats.gamma.logpdf(
        np.where(x > 0, x, 1.0), n * shape, scale=scale
    )
    return np.where(x > 0, special.logsumexp(terms, axis=0), -rate)


def expectations(rain, fits):
    """Expected rain in every cell: of the wet cells alone, and with each chance of a dry month."""
    amounts = fits[MONTH].model_values()
    found = {"wet cells alone": amounts}
    found |= {model: (1 - gate) * amounts for model, gate in gates(rain, fits).items()}
    return found | {TWEEDIE: fits[TWEEDIE].predict()}


def totals(rain, means) -> list[dict]:
    """Sums over regions and months by their share of dry years, and how far sums of a region's year are off."""
    x, there = known(rain)
    share = np.sum(x == 0, axis=2) / np.sum(there, axis=2)
    rows = []
    for low, high in pairwise(GROUPS):
        cells = there & ((share >= low) & (share < high))[:, :, None]
        rows.append(summed(f"{100 * low:g} to {100 * high:g} % of years dry", x, cells, means))
    whole = there & there.all(axis=1, keepdims=True)
    driest = np.argsort(-np.sum(x == 0, axis=(1, 2)))[:5]
    rows.append(
        summed(
            "years of the five driest regions",
            x,
            whole & np.isin(np.arange(36), driest)[:, None, None],
            means,
        )
    )
    return [*rows, summed("all whole years", x, whole, means)]


def summed(what, x, cells, means) -> dict:
    """Rain that fell in cells, and what is expected more or less, in shares of it."""
    fell = x[cells].sum()
    row = {"cells of": what, "cells": int(cells.sum()), "mm a month": round(float(x[cells].mean()), 1)}
    return row | {name: f"{m[cells].sum() / fell - 1:+.1%}" for name, m in means.items()}


def components(fits) -> list[dict]:
    """Each component by its months, regions and years; the hurdle's in the order of those of Tweedie."""
    rows = []
    for model, result in fits.items():
        months, years = result.factors[1:]
        total = result.weights * np.prod([a.sum(axis=0) for a in result.factors], axis=0)
        for k, r in enumerate(order_of(result, fits["Tweedie"])):
            share = months[:, r] / months[:, r].sum()
            top = np.sort(np.argsort(-share)[:3])
            slope = np.polyfit(np.arange(len(years)), years[:, r] / years[:, r].mean(), 1)[0]
            rows.append(
                {
                    "model": model,
                    "component": k,
                    "share of the amounts": f"{total[r] / total.sum():.0%}",
                    "months": ", ".join(f"{result.labels.coords[1][j]} {share[j]:.0%}" for j in top),
                    "regions": ", ".join(named(result, r, 3)),
                    "change in a century": f"{100 * slope:+.0%}",
                }
            )
    return rows


def named(result, r, n):
    """The heaviest regions of a component."""
    return [str(result.labels.coords[0][j]).title() for j in np.argsort(-result.factors[0][:, r])[:n]]


def order_of(result, other):
    """Components in the order of those of another model that they are most like."""
    like = np.prod([a.T @ b for a, b in zip(other.factors, result.factors, strict=True)], axis=0)
    return linear_sum_assignment(-like)[1]


def draw(rows, points, rain, means, shown):
    """Held-out likelihood by rank, chances of dry months, totals, and the months of components."""
    figure, axes = panels(2, 3, 12, 7)
    for ax, scheme in zip(axes[:, 0], SCHEMES, strict=True):
        by_rank(ax, rows, scheme)
    axes[0, 0].legend(fontsize=6.5, frameon=False, loc="lower right")
    chances(axes[0, 1], points)
    ratios(axes[1, 1], rain, means)
    for ax, (model, result) in zip(axes[:, 2], shown.items(), strict=True):
        for k, r in enumerate(order_of(result, shown["Tweedie"])):
            share = result.factors[1][:, r] / result.factors[1][:, r].sum()
            ax.plot(share, lw=1.4, color=OF_PARTS[k], label=named(result, r, 1)[0])
        ax.set_xticks(range(12), [str(month)[0] for month in result.labels.coords[1]])
        ax.set_ylabel(f"share of the component's rain, {model}", fontsize=8)
        ax.legend(fontsize=7, frameon=False, title="heaviest region", title_fontsize=7)
    return figure


def by_rank(ax, rows, scheme):
    """Held-out likelihood by rank."""
    for model, color in COLORS.items():
        own = [row for row in rows if (row["held out"], row["model"]) == (scheme, model)]
        ranks = list(dict.fromkeys(row["rank"] for row in own))
        for name, style in (("log-likelihood", "-"), ("a dispersion by month", ":")):
            mean = [np.mean([r[name] for r in own if r["rank"] == rank]) for rank in ranks]
            ax.plot(ranks, mean, style, color=color, lw=1.4, label=model if style == "-" else None)
    ax.plot([], [], "k:", lw=1.4, label="with a dispersion by month")
    ax.set_xticks(ranks)
    ax.set_xlabel("rank", fontsize=8)
    ax.set_ylabel(f"held-out nats per cell, {scheme}", fontsize=8)


def chances(ax, points):
    """Predicted chances of a dry month beside observed shares."""
    ax.plot([0, 1], [0, 1], color="0.8", lw=0.8, zorder=0)
    for model, color in COLORS.items():
        own = [point for point in points if point["model"] == model]
        if model != ONE:
            x, y = ([point[name] for point in own] for name in ("predicted", "observed"))
            error = [np.sqrt(p["observed"] * (1 - p["observed"]) / p["cells"]) for p in own]
            ax.errorbar(x, y, error, fmt="o-", ms=3, lw=1.2, elinewidth=0.8, color=color, label=model)
    ax.set_xlabel("predicted chance of a dry month", fontsize=8)
    ax.set_ylabel("share that was dry, years of a region", fontsize=8)
    ax.legend(fontsize=7, frameon=False)


def ratios(ax, rain, means):
    """Expected over fallen rain of each region and month by its share of dry years."""
    x, there = known(rain)
    share, fell = np.sum(x == 0, axis=2) / np.sum(there, axis=2), np.nansum(x, axis=2)
    for name, color in (("wet cells alone", RED), (TWEEDIE, BLUE)):
        ratio = np.where(there, means[name], 0.0).sum(axis=2) / fell
        ax.semilogy(share.ravel(), ratio.ravel(), ".", ms=4, color=color, alpha=0.6, label=name)
    at = np.linspace(0, share.max(), 100)
    ax.plot(at, 1 / (1 - at), color="0.3", lw=0.8, label="1 / (1 - share)")
    ax.axhline(1, color="0.8", lw=0.8, zorder=0)
    ax.set_yticks(ticks := (0.5, 0.7, 1, 1.5, 2, 3), [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("share of dry years of a region and month", fontsize=8)
    ax.set_ylabel("expected over fallen rain", fontsize=8)
    ax.legend(fontsize=7, frameon=False)


if __name__ == "__main__":
    main()
