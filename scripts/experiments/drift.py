"""A stream in which one component fades and another appears: are they followed?

    python scripts/experiments/drift.py [--quick] [--seed 0] [--out results/drift] [--replicates 10]

Planted counts of 40 places x 25 kinds x 300 days under the Poisson loss: a component that stays, one that fades from
day 100 to 140, and one that appears from day 160 to 200; about 5 counts in a cell. The first 50 days are fitted at
rank 2, which is what is there; then each day is an update (`result.update`), which remembers all, has a half-life of
5, 10 or 20 days, or a window of 20 days. A column of the model is the new component's once both its other factors are
those of it: similarity is the product of the two cosines with the planted ones, of the best column, for the
component that appears and for the one that stays, at the end. "Days until found" counts from day 180,
when it has half its size, to the first day from which on its similarity stays above 0.95. "Deviance of the last 50
days" is the share explained by the rows that updates left, beside one fit of these days alone.

Found: half-lives of 5 and 10 days, and a window of 20, find the new component in all ten sets, the shortest before it
has half its size, and explain the last days as one fit of these does. With a half-life of 20 days it takes a month
longer, for the old shape fades from memory slowly, and in one set of ten it is not found; memory that forgets nothing
keeps the shape that is gone.

No published result is reproduced. Writes drift.csv, run.json and drift.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels

import gcp

PLACES, KINDS, DAYS, FIRST, LAST = 40, 25, 300, 50, 50
FORGETTING = {
    "nothing": {},
    "half-life 20": {"half_life": 20},
    "half-life 10": {"half_life": 10},
    "half-life 5": {"half_life": 5},
    "window 20": {"window": 20},
}
COLOURS = dict(zip(FORGETTING, (RED, PURPLE, ORANGE, BLUE, GREEN), strict=True))


def main() -> None:
    run = Run(
        __doc__,
        "drift",
        quick="one data set, 120 days",
        replicates={"type": int, "default": 10, "help": "data sets (default: 10)"},
    )
    n_days = 120 if run.quick else DAYS
    sets = [planted(run.seed, k, n_days) for k in range(1 if run.quick else run.given.replicates)]
    found = {name: [follow(*one, forgetting) for one in sets] for name, forgetting in FORGETTING.items()}
    fits = [late_fit(*one) for one in sets]
    rows = [row(name, streams) for name, streams in found.items()]
    rows.append({"forgotten": "one fit of the last days", **dict.fromkeys(list(rows[0])[1:])})
    rows[-1]["deviance of the last days"] = round(float(np.mean(fits)), 4)
    run.table("drift", f"{len(sets)} streams with a component that fades and one that appears", rows)
    run.finish(draw(sets[0], {name: streams[0] for name, streams in found.items()}))


def planted(seed: int, number: int, n_days: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Counts, and the factors of places, kinds and days."""
    rng = np.random.default_rng([seed, number])
    t = np.arange(n_days) * DAYS / n_days
    level = np.stack([np.ones(n_days), np.clip((140 - t) / 40, 0, 1), np.clip((t - 160) / 40, 0, 1)], axis=1)
    factors = [rng.gamma(0.5, 1.0, (size, 3)) for size in (PLACES, KINDS)]
    factors.append(level * rng.gamma(10.0, 0.1, level.shape))
    factors[0] *= 5.0 / (factors[0].mean(axis=0) * factors[1].mean(axis=0))
    return rng.poisson(np.einsum("ir,jr,tr->ijt", *factors)).astype(float), factors


def first_days(n_days: int) -> int:
    return FIRST * n_days // DAYS


def follow(x: np.ndarray, factors: list[np.ndarray], forgetting: dict) -> dict:
    """Similarities (days, components) along a stream, and the model at its end."""
    first = first_days(x.shape[2])
    result = gcp.fit_gcp(x[:, :, :first], 2, loss="poisson", n_starts=3, random_state=0)
    seen, sizes = [], list(result.weights * result.factors[2])
    for day in range(first, x.shape[2]):
        result = result.update(x[:, :, day : day + 1], 2, **forgetting)
        seen.append(similarities(result, factors))
        sizes.append(result.weights * result.factors[2][-1])
    late = x.shape[2] - first_days(x.shape[2])
    rest = gcp.build_objective(x[:, :, late:], "poisson")
    own = [result.factors[0] * result.weights, result.factors[1], result.factors[2][late:]]
    explained = rest.share_explained(rest.value_and_grad(own)[0])
    return {"similarity": np.array(seen), "sizes": np.array(sizes), "result": result, "explained": explained}


def similarities(result: gcp.FitResult, factors: list[np.ndarray]) -> np.ndarray:
    """By planted component, the product of the cosines of the best column."""
    return of_columns(result, factors).max(axis=0)


def of_columns(result: gcp.FitResult, factors: list[np.ndarray]) -> np.ndarray:
    """By column and planted component, the product of the cosines of places and of kinds."""
    units = [a / np.linalg.norm(a, axis=0) for a in factors[:2]]
    return np.prod([a.T @ b for a, b in zip(result.factors[:2], units, strict=True)], axis=0)


def late_fit(x: np.ndarray, factors: list[np.ndarray]) -> float:
    late = x.shape[2] - first_days(x.shape[2])
    result = gcp.fit_gcp(x[:, :, late:], 2, loss="poisson", n_starts=3, random_state=0)
    return result.training_deviance_explained


def row(name: str, streams: list[dict]) -> dict[str, object]:
    n_days = len(streams[0]["similarity"]) + first_days(DAYS if len(streams[0]["similarity"]) > 200 else 120)
    by_day = DAYS / n_days
    waits = []
    for one in streams:
        below = np.flatnonzero(one["similarity"][:, 2] <= 0.95)
        last = below[-1] + 1 if len(below) else 0
        found = last < len(one["similarity"])
        waits.append((last + first_days(n_days)) * by_day - 180 if found else np.nan)
    ends = np.array([one["similarity"][-1, 2] for one in streams])
    return {
        "forgotten": name,
        "found": int(np.isfinite(waits).sum()),
        "days until found, median": round(float(np.nanmedian(waits)), 0)
        if np.isfinite(waits).any()
        else None,
        "similarity of the new, median": round(float(np.median(ends)), 3),
        "least": round(float(ends.min()), 3),
        "of the one that stays, median": round(
            float(np.median([one["similarity"][-1, 0] for one in streams])), 3
        ),
        "deviance of the last days": round(float(np.mean([one["explained"] for one in streams])), 4),
    }


def draw(one: tuple[np.ndarray, list[np.ndarray]], streams: dict[str, dict]):
    x, factors = one
    figure, axes = panels(3, 1, 7, 6.5, sharex=True)
    days = np.arange(x.shape[2])
    planted_sizes = factors[2] * np.linalg.norm(factors[0], axis=0) * np.linalg.norm(factors[1], axis=0)
    for k, (name, colour) in enumerate(zip(("stays", "fades", "appears"), ("0.4", RED, BLUE), strict=True)):
        axes[0, 0].plot(days, planted_sizes[:, k], color=colour, linewidth=1, label=name)
    axes[0, 0].set_title("planted: size of each component", loc="left", fontsize=9)
    axes[0, 0].legend(fontsize=8, ncols=3, frameon=False)
    followed = streams["half-life 5"]
    stays = int(np.argmax(of_columns(followed["result"], factors)[:, 0]))
    for r, colour in ((stays, "0.4"), (1 - stays, PURPLE)):
        axes[1, 0].plot(days, followed["sizes"][:, r], color=colour, linewidth=1)
    title = "stream with a half-life of 5 days: size of its two columns on each day, as its update left them"
    axes[1, 0].set_title(title, loc="left", fontsize=9)
    for ax in axes[:2, 0]:
        ax.set_ylim(bottom=0)
        ax.set_ylabel("norm", fontsize=8)
    for name, found in streams.items():
        start = x.shape[2] - len(found["similarity"])
        axes[2, 0].plot(
            days[start:], found["similarity"][:, 2], color=COLOURS[name], linewidth=1.2, label=name
        )
    axes[2, 0].set_title("similarity of the best column to the one that appears", loc="left", fontsize=9)
    axes[2, 0].set_ylim(0, 1.02)
    axes[2, 0].set_xlabel("day")
    axes[2, 0].legend(fontsize=8, frameon=False, title="forgotten", title_fontsize=8)
    return figure


if __name__ == "__main__":
    main()
