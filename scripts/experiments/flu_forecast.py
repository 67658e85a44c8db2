"""Influenza, one week ahead: people and the weeks before as exposure, beside published scores.

    python scripts/experiments/flu_forecast.py [--quick] [--seed 0] [--out results/flu_forecast] [--data DIR]

Weekly cases in the 140 districts of Bavaria and Baden-Wuerttemberg, 2001 to 2008. Asked are next week's cases of each
district in 2007 and 2008, as negative binomial distributions, judged by the logarithmic score and the ranked
probability score (means over districts and weeks; less is better). A forecast of a week takes cases of weeks before
it alone. Its parameters are of one fit of the six years before, or of fits anew every 13 weeks of all weeks until
then ("refitted"). The "final fit" has seen all eight years, the weeks that it foretells included.

"People" has people as exposure: rates by district and week of the year (8 splines that join at the end of the year),
without memory. "Weeks before" has a fit of its own as exposure: cases as a sum of those of one and two weeks before,
in the district, its neighbours and all districts (these two as rates, times people), and of people, each share
nonnegative and changing over the year (4 splines). To gcp that is one mode, the cells, with a design of 28 columns.
On top of that, components of districts by weeks, whose weeks have the yearly design again, say by what factor
districts and seasons differ from it; `predict_at({"week": ...})` has them for weeks to come. All are nonnegative and
add up, with a Dirichlet prior; r is estimated in every fit. Prior and rank are chosen on 2005 and 2006 by fits of the
years before.

Published is model B2 of Paul and Held (Statistics in Medicine 30 (2011) 1118-1136), as the vignette of the R package
surveillance computes it (hhh4: last week's cases of the district and its neighbours, and people with a trend and a
season; levels of districts are random effects). 0.5430 and 0.4166, of the vignette since 1.11.0, are of the final
fit, which the vignette itself calls fake predictions. Until 1.8-0 it had forecasts, refitted every week: 0.5633 and
0.4363. Each is compared with its like.

Found: with the weeks before as exposure, the forecasts score better than B2's, refitted and in the final fit. What
does it is the sources: with those of B2 alone (last week's cases of the district and its neighbours, and people) ours
score worse than B2. A yearly season without memory is far off, for no two winters are alike, and its forecasts are
far too narrow for the largest. Levels of districts (rank 1) help; further components vanish or add nothing; an r for
each district fits better and forecasts worse. The sources were chosen as prior and rank were, on 2005 and 2006. One r
is for all weeks: at the peaks, in the largest districts, forecasts are wider than what comes.

    gcp fit results/flu_forecast/cases.csv --modes district,week --value cases --exposure expected --rank 1 \\
        --loss negative-binomial --param r=estimate --design week=bspline:4:cyclic:0:52 --dirichlet-reg 20 \\
        --seed 0 --out rates.npz

is the final fit again, from the listing that the script leaves: "expected" is what the weeks before let expect.

Data: cases, people and neighbours from cran/surveillance (GPL-2; Robert Koch-Institut, SurvStat), not in this
package: needed are flu_bybw/flu_bybw.npz and flu_bybw/flu_population.npz in the folder DIR or $GCP_DATA
(data/README.md).

Writes chosen.csv, scores.csv, cases.csv, run.json and flu_forecast.png.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, Run, panels
from _forecast_scores import logarithmic_score, mean_scores, pit_histogram
from scipy.stats import nbinom

import gcp

EVERY = 13
"""Weeks from one fit to the next."""
STEPS = 60
"""Iterations, at most, of each fit of components: superfluous ones vanish slowly."""
SPLINES = 4
"""Functions that make a year."""
PRIORS = (1.0, 5.0, 20.0, 80.0)
"""Dirichlet strengths among which the years before the last two choose."""
LEAST = 1e-3
"""Cases expected in a mean district in any week: where all weeks before had none, the likelihood would be 0."""
SOURCES = (
    "last week, own",
    "last week, neighbours",
    "last week, all",
    "2 weeks before, own",
    "2 weeks before, neighbours",
    "2 weeks before, all",
    "people",
)
"""What cases may come from, of the weeks before."""
OF_B2 = (0, 1, 6)
"""The sources of the published model."""
ALL = tuple(range(len(SOURCES)))
PUBLISHED = {"refitted": (0.5633, 0.4363), "final fit": (0.5430, 0.4166)}
"""Logarithmic and ranked probability score of the model B2."""


@dataclass(frozen=True)
class Counts:
    """Cases of districts by week, and what is known of the districts.

    Attributes
    ----------
    cases : ndarray, shape (D, T)
    people : ndarray, shape (D,)
        In the mean district's.
    is_near : ndarray of bool, shape (D, D)
        Whether districts have a common border.
    names : ndarray, shape (D,)
    period : int
        Weeks of a year.
    """

    cases: np.ndarray
    people: np.ndarray
    is_near: np.ndarray
    names: np.ndarray
    period: int

    @property
    def first(self) -> int:
        """The first week of the last two years."""
        return self.cases.shape[1] - 2 * self.period

    @cached_property
    def columns(self) -> np.ndarray:
        """What cases of week t may come from, times the year's splines; shape (D, T + 1, K, splines)."""
        found = sources(self.cases, self.people, self.is_near)
        weeks = np.arange(found.shape[2])
        year = self.year(SPLINES).of_labels(weeks, "week")
        return np.einsum("kdt,tj->dtkj", found, year)

    def year(self, n):
        """Splines that join at the end of a year."""
        return gcp.designs.bspline(n, cyclic=True, ends=(0, self.period))


@dataclass(frozen=True)
class Forecaster:
    """A model, and how it is fitted.

    Attributes
    ----------
    sources : tuple of int
        Of SOURCES, which the exposure is the sum of; none is people as they are.
    rank : int
        Of the components on top of that; 0 is none.
    prior : float
        Dirichlet strength.
    by : str or None
        The mode whose positions have an r each.
    """

    sources: tuple[int, ...]
    rank: int = 0
    prior: float = 0.0
    by: str | None = None

    def __str__(self) -> str:
        before = "weeks before" if self.sources else "people"
        before = "last week, sources of B2" if self.sources == OF_B2 else before
        return before + (f" x rank {self.rank}" if self.rank else "") + (", r by district" if self.by else "")


class Fits:
    """All fits, each done once: a model, and the week that it has not seen."""

    def __init__(self, counts: Counts, seed: int) -> None:
        self.counts, self.seed, self.known = counts, seed, {}

    def of(self, model: Forecaster, end: int):
        """The result, and what it expects (D, T + 1) with its r, (D, 1) or a number."""
        if (model, end) not in self.known:
            own = self._components(model, end) if model.rank else self._sources(model, end)
            self.known[model, end] = own
        return self.known[model, end]

    def _sources(self, model: Forecaster, end: int):
        """Cases as a sum of those before, whose shares change over the year: one mode, with a design."""
        cases = self.counts.cases
        columns = self.counts.columns[:, :, list(model.sources)]
        columns = columns.reshape(*columns.shape[:2], -1)
        seen = columns[:, 2:end].reshape(-1, columns.shape[2])
        loss = gcp.NegativeBinomial(r="estimate")
        data = gcp.DenseTensor(
            cases[:, 2:end].ravel(), labels=gcp.ModeLabels(("cell",), (np.arange(len(seen)),))
        )
        result = gcp.fit_gcp(data, 1, loss=loss, design={"cell": seen}, random_state=self.seed)
        mean = result.predict_at({"cell": columns.reshape(-1, columns.shape[2])}).reshape(columns.shape[:2])
        return result, np.maximum(mean, LEAST * self.counts.people[:, None]), result.loss.r

    def _components(self, model: Forecaster, end: int):
        """Components of rates: districts by weeks of the year."""
        counts, weeks = self.counts, np.arange(self.counts.cases.shape[1] + 1)
        if model.sources:
            exposure = self.of(Forecaster(model.sources), end)[1]
        else:
            exposure = np.repeat(counts.people[:, None], len(weeks), axis=1)
        labels = gcp.ModeLabels(("district", "week"), (counts.names, weeks[2:end]))
        result = gcp.fit_gcp(
            gcp.DenseTensor(counts.cases[:, 2:end], labels=labels),
            model.rank,
            loss=gcp.NegativeBinomial(r="estimate", by=model.by),
            exposure=exposure[:, 2:end],
            design={"week": counts.year(SPLINES if model.sources else 2 * SPLINES)},
            dirichlet_reg=model.prior,
            random_state=self.seed,
            n_iter_max=STEPS,
        )
        r = result.loss.r if model.by is None else np.array(result.loss.r)[:, None]
        return result, exposure * result.predict_at({"week": weeks}), r

    def ahead(self, model: Forecaster, start: int, stop: int, every: int | None):
        """Expectations (D, stop - start) and r, refitted every so many weeks; None is the fit of all weeks."""
        if every is None:
            _, mean, r = self.of(model, self.counts.cases.shape[1])
            return mean[:, start:stop], np.broadcast_to(r, mean[:, start:stop].shape)
        means, rs = [], []
        for end in range(start, stop, every):
            _, mean, r = self.of(model, end)
            means.append(mean[:, end : min(end + every, stop)])
            rs.append(np.broadcast_to(r, means[-1].shape))
        return np.hstack(means), np.hstack(rs)


def sources(cases, people, is_near):
    """What the cases of each week may come from, of the weeks before it alone; shape (K, D, T + 1).

    Cases of one and two weeks before: of the district, of its neighbours and of all districts, the latter two as
    rates times people; then people alone.
    """
    found = []
    for lag in (1, 2):
        own = np.zeros((cases.shape[0], cases.shape[1] + 1))
        own[:, lag:] = cases[:, : cases.shape[1] + 1 - lag]
        near = is_near @ own / (is_near @ people)[:, None]
        everywhere = np.repeat(own.sum(axis=0, keepdims=True) / people.sum(), len(own), axis=0)
        found += [own, people[:, None] * near, people[:, None] * everywhere]
    return np.stack([*found, np.broadcast_to(people[:, None], own.shape)])


# --- the experiment ---------------------------------------------------------------------------------------


def main() -> None:
    run = Run(__doc__, "flu_forecast", quick="rank 1, one prior, two fits")
    counts = load(run)
    fits = Fits(counts, run.seed)
    chosen, rows = choose(fits, PRIORS[1:2] if run.quick else PRIORS, (1,) if run.quick else (1, 2, 3))
    run.table(
        "chosen", "Chosen on the two years before the last two, by fits of the years before these", rows
    )
    every = 2 * counts.period if run.quick else EVERY
    models = list(chosen) if run.quick else candidates(chosen)
    refitted = {Forecaster(ALL), chosen[-1]}
    rows = [judged(fits, model, every if model in refitted else 0) for model in models]
    run.table("scores", "One week ahead over the last two years; means over districts and weeks", rows)
    compare(run, fits, chosen[-1], every)
    run.csv("cases", as_listing(fits))
    run.finish(draw(fits, rows, chosen, every))


def load(run: Run) -> Counts:
    cases, about = run.load("flu_bybw/flu_bybw.npz"), run.load("flu_bybw/flu_population.npz")
    if not np.array_equal(cases["district"], about["district"]):
        raise SystemExit("flu_bybw: the two files have districts in another order.")
    x = cases["X"].astype(float)
    people = about["population_fraction"] / about["population_fraction"].mean()
    is_near = about["neighbourhood"] == 1
    return Counts(x.reshape(len(x), -1), people, is_near, about["district"], x.shape[2])


def choose(fits: Fits, priors, ranks) -> tuple[list[Forecaster], list[dict]]:
    """Of both exposures, the prior at rank 1 and then the rank with the least logarithmic score."""
    stop, chosen, rows = fits.counts.first, [], []
    start = stop * 2 // 3

    def score(model: Forecaster) -> float:
        mean, r = fits.ahead(model, start, stop, stop - start)
        scores = mean_scores(fits.counts.cases[:, start:stop], mean, r)
        named = {"logarithmic score": scores[0], "ranked probability score": scores[1]}
        rows.append({"model": str(model), "prior": model.prior} | named)
        print(rows[-1], flush=True)
        return scores[0]

    score(Forecaster(ALL))
    for kind in ((), ALL):
        by_prior = {score(model): model for model in (Forecaster(kind, 1, p) for p in priors)}
        best = min(by_prior)
        by_rank = {score(m): m for m in (replace(by_prior[best], rank=k) for k in ranks[1:])}
        chosen.append((by_rank | {best: by_prior[best]})[min([best, *by_rank])])
    return chosen, rows


def candidates(chosen: list[Forecaster]) -> list[Forecaster]:
    """What is compared in the last two years."""
    people, before = chosen
    return [
        *(replace(people, rank=k) for k in (1, 2, 3)),
        Forecaster(OF_B2),
        replace(before, sources=OF_B2, rank=1),
        Forecaster(ALL),
        *(replace(before, rank=k) for k in (1, 2, 3)),
        replace(before, by="district"),
    ]


def judged(fits: Fits, model: Forecaster, every: int) -> dict:
    """Scores of forecasts by one fit, refits (unless every is 0), and a fit that has seen what it foretells."""
    start, stop = fits.counts.first, fits.counts.cases.shape[1]
    row = {"model": str(model)}
    for name, weeks in (("one fit", stop - start), ("refitted", every), ("final fit", None)):
        if weeks == 0:
            row |= {f"{name}: log score": None, f"{name}: RPS": None}
            continue
        mean, r = fits.ahead(model, start, stop, weeks)
        scores = mean_scores(fits.counts.cases[:, start:stop], mean, r)
        row |= {f"{name}: log score": scores[0], f"{name}: RPS": scores[1]}
    print(row, flush=True)
    return row | {"r": round(float(np.median(r)), 3)}


def compare(run: Run, fits: Fits, model: Forecaster, every: int) -> None:
    """The model that was chosen beforehand, on the cells that were published."""
    stop, two_years = fits.counts.cases.shape[1], 2 * fits.counts.period
    padded = np.hstack([fits.counts.cases, np.zeros((len(fits.counts.cases), 1))])
    ours = {}
    for name, start, last, weeks in (
        ("refitted", stop - two_years, stop + 1, every),
        ("final fit", stop - two_years, stop, None),
    ):
        mean, r = fits.ahead(model, start, last, weeks)
        ours[name] = mean_scores(*(a[:, -two_years:] for a in (padded[:, start:last], mean, r)))
    told = {
        "refitted": (
            "surveillance 1.4-1 to 1.8-0, vignettes/hhh4-cache.RData: B2 refitted every week",
            REFITTED,
        ),
        "final fit": ("surveillance 1.11.0 and later, the same file: B2 fitted to all weeks", FINAL),
    }
    for name, (source, why) in told.items():
        for k, score in enumerate(("logarithmic score", "ranked probability score")):
            mine, theirs = ours[name][k], PUBLISHED[name][k]
            run.compare(
                f"{score}, {name}", mine, theirs, source=source, agrees=mine <= theirs + 5e-5, why=why
            )


REFITTED = (
    "met means no larger, and the models are not the same. B2 is refitted every week; ours has more sources and the "
    "shares of all change over the year (the table scores has it with the sources of B2). The data of that time had "
    "a further week 417 of zeros, and the published means are of weeks 314 to 417: ours here, too."
)
FINAL = "the fit has seen the weeks that it foretells, here as there: no forecasts, but comparable."


def as_listing(fits: Fits) -> list[dict]:
    """The cells of the last fit, with what weeks before let expect, for `gcp fit`."""
    counts = fits.counts
    _, expected, _ = fits.of(Forecaster(ALL), counts.cases.shape[1])
    return [
        {"district": name, "week": t, "cases": int(x), "expected": float(f"{e:.6g}")}
        for name, xs, es in zip(counts.names, counts.cases, expected, strict=True)
        for t, (x, e) in enumerate(zip(xs, es[:-1], strict=True))
        if t >= 2
    ]


# --- picture ----------------------------------------------------------------------------------------------


def draw(fits: Fits, rows, chosen, every):
    """Scores and calibration; forecasts of three districts; what forecasts are made of, and what is lost when."""
    figure, axes = panels(3, 3, 13, 9.5)
    start, stop = fits.counts.first, fits.counts.cases.shape[1]
    shown = {chosen[0]: stop - start, chosen[1]: every}
    forecasts = {model: fits.ahead(model, start, stop, weeks) for model, weeks in shown.items()}
    draw_scores(axes[0, :2], [row for row in rows if not row["model"].startswith("people")])
    draw_calibration(axes[0, 2], forecasts, fits.counts.cases[:, start:stop])
    largest = np.argsort(-fits.counts.people)[:3]
    for ax, district in zip(axes[1], largest, strict=True):
        draw_district(ax, fits.counts, district, *(a[district] for a in forecasts[chosen[-1]]))
    draw_year(axes[2, 0], fits)
    draw_components(axes[2, 1], fits, chosen[-1])
    draw_losses(axes[2, 2], fits.counts, forecasts)
    return figure


def draw_scores(axes, rows) -> None:
    places = np.arange(len(rows))[::-1]
    styles = {"one fit": ("^", "0.5"), "refitted": ("o", BLUE), "final fit": ("s", ORANGE)}
    for ax, score, k in zip(axes, ("log score", "RPS"), (0, 1), strict=True):
        for name, (marker, color) in styles.items():
            values = [row[f"{name}: {score}"] or np.nan for row in rows]
            ax.plot(values, places, marker, color=color, ms=6, alpha=0.85, label=f"{name}, ours")
            if name in PUBLISHED:
                ax.axvline(PUBLISHED[name][k], color=color, lw=1, ls="--", label=f"{name}, published")
        ax.set_yticks(places, [row["model"] for row in rows] if k == 0 else [""] * len(rows), fontsize=8)
        ax.set_xlabel("less is better", fontsize=8)
        ax.set_ylim(-0.5, len(rows) - 0.5)
        ax.set_title("mean logarithmic score" if k == 0 else "mean ranked probability score", fontsize=9)
    axes[0].legend(fontsize=7, frameon=False, loc="lower right")


def draw_calibration(ax, forecasts, cases) -> None:
    for (model, (mean, r)), color in zip(forecasts.items(), (ORANGE, BLUE), strict=True):
        ax.stairs(pit_histogram(cases, mean, r), np.linspace(0, 1, 11), color=color, lw=1.5, label=str(model))
    ax.axhline(1, color="0.4", lw=0.8, ls=":")
    ax.set_ylim(bottom=0)
    ax.set_title("calibration of the forecasts", fontsize=9)
    ax.set_xlabel("probability integral transform", fontsize=8)
    ax.set_ylabel("density", fontsize=8)
    ax.legend(fontsize=7, frameon=False, loc="upper left")


def draw_district(ax, counts: Counts, district, mean, r) -> None:
    weeks = counts.first + np.arange(len(mean))
    low, high = (nbinom.ppf(q, r, r / (r + mean)) for q in (0.05, 0.95))
    years = 2001 + weeks / counts.period
    ax.fill_between(years, low, high, step="mid", color=BLUE, alpha=0.25, lw=0, label="from 5 to 95 %")
    ax.plot(years, mean, color=BLUE, lw=1, label="expected")
    ax.plot(years, counts.cases[district, weeks], ".", color="k", ms=4, label="cases")
    ax.set_title(f"district {counts.names[district]}", fontsize=9)
    ax.set_ylabel("cases in a week (root scale)", fontsize=8)
    ax.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    ax.set_ylim(bottom=0)
    ax.set_xticks(np.unique(np.floor(years)), [f"{year:.0f}" for year in np.unique(np.floor(years))])
    ax.legend(fontsize=7, frameon=False)


def draw_year(ax, fits: Fits) -> None:
    """Cases expected by where they come from, means of all years."""
    counts, end = fits.counts, fits.counts.cases.shape[1]
    result, _, r = fits.of(Forecaster(ALL), end)
    c = r * result.weights[0] * result.coefficients["cell"][:, 0]
    parts = np.einsum("dtkj,kj->tk", counts.columns[:, :end], c.reshape(-1, SPLINES))
    by_week = parts.reshape(-1, counts.period, parts.shape[1]).mean(axis=0).T
    colors = (BLUE, ORANGE, GREEN, "#9ECAE9", "#F7CE7B", "#8FD3BF", "0.6")
    ax.stackplot(np.arange(1, counts.period + 1), by_week, colors=colors, labels=SOURCES)
    ax.set_xlabel("week of the year", fontsize=8)
    ax.set_ylabel("cases expected in a week", fontsize=8)
    ax.legend(fontsize=7, frameon=False)
    ax.set_title("where cases come from, mean of the years", fontsize=9)


def draw_components(ax, fits: Fits, model: Forecaster) -> None:
    """Rates of districts against what weeks before let expect, at the mean week; ordered."""
    result, _, _ = fits.of(model, fits.counts.cases.shape[1])
    rates = np.sort(result.predict().mean(axis=1))
    ax.plot(rates, np.arange(1, len(rates) + 1), ".", color=PURPLE, ms=4)
    ax.axvline(1, color="0.4", lw=0.8, ls=":")
    ax.set_title("levels of districts", fontsize=9)
    ax.set_xlabel("factor on the cases expected", fontsize=8)
    ax.set_ylabel("district, in order", fontsize=8)


def draw_losses(ax, counts: Counts, forecasts) -> None:
    years = 2001 + np.arange(counts.first, counts.cases.shape[1]) / counts.period
    for (model, (mean, r)), color in zip(forecasts.items(), (ORANGE, BLUE), strict=True):
        score = logarithmic_score(counts.cases[:, counts.first :], mean, r).mean(axis=0)
        ax.plot(years, score, color=color, lw=1.2, label=str(model))
    ax.set_xticks(np.unique(np.floor(years)), [f"{year:.0f}" for year in np.unique(np.floor(years))])
    ax.set_title("logarithmic score by week", fontsize=9)
    ax.set_ylabel("mean of the districts", fontsize=8)
    ax.legend(fontsize=7, frameon=False)


if __name__ == "__main__":
    main()
