"""Do 95 % intervals hold the truth in 95 % of data sets?

    python scripts/experiments/coverage.py [--quick] [--seed 0] [--out results/coverage] [--replicates 40]
        [--losses NAME ...]

Every data set has a planted model of its own, of rank 2: factors standard normal, or 0.3 + gamma of shape 2 for
losses whose model is nonnegative; 30 x 25 x 20 or half of it, complete or with 60 % of the cells missing at random.
It is fitted from the truth on, so that only the intervals are judged and not the search, for up to 200 iterations
(few answers of 0 and 1 lead to infinity); components are matched with the truth's. Intervals are those of
`gcp.analysis.standard_errors`, where there are any: "without" is the share of weights that got a sentence instead.
"Plain" is what intervals without the bias correction hold, of the same weights; biases are mean relative errors of
the weights, of the fit and corrected. By chance, coverage lies within 0.95 +- 0.43 / sqrt(data sets that have
intervals), as those of one data set depend on each other: where one weight is too large, the other is too small. No
published result is reproduced.

Writes coverage.csv, data_sets.csv (with which a run that was stopped goes on), run.json and coverage.png.
"""

from __future__ import annotations

import csv
import itertools
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _experiment import BLUE, RED, Run, panels

import gcp
from gcp.analysis import align, standard_errors

SIZES = {"30 x 25 x 20": (30, 25, 20), "15 x 12 x 10": (15, 12, 10)}
MISSING = (0.0, 0.6)


class Case(NamedTuple):
    """A loss with its true parameters, the size of the model's entries, and what the fit is told."""

    loss: str
    scale: float
    r: float | None = None
    estimated: bool = False
    shape: float = 4.0
    effects: bool = False

    def made(self) -> gcp.Loss:
        return gcp.get_loss(self.loss) if self.r is None else gcp.get_loss(self.loss, r=self.r)


CASES = {
    "gaussian": Case("gaussian", 1.5),
    "poisson": Case("poisson", 3.0),
    "poisson-log": Case("poisson-log", 1.0),
    "bernoulli-logit": Case("bernoulli-logit", 2.0),
    "bernoulli-logit, main effects": Case("bernoulli-logit", 2.0, effects=True),
    "bernoulli-odds": Case("bernoulli-odds", 1.0),
    "bernoulli-poisson": Case("bernoulli-poisson", 1.0),
    "gamma, shape 4": Case("gamma", 3.0),
    "gamma, shape 1": Case("gamma", 3.0, shape=1.0),
    "rayleigh": Case("rayleigh", 3.0),
    "negative-binomial, r 2": Case("negative-binomial", 1.5, 2.0),
    "negative-binomial, r 2 estimated": Case("negative-binomial", 1.5, 2.0, True),
    "negative-binomial, r 10 estimated": Case("negative-binomial", 0.3, 10.0, True),
    "negative-binomial-logit, r 2": Case("negative-binomial-logit", 1.0, 2.0),
    "negative-binomial-logit, r 2 estimated": Case("negative-binomial-logit", 1.0, 2.0, True),
    "negative-binomial-logit, r 10 estimated": Case("negative-binomial-logit", 1.0, 10.0, True),
}
COUNTS = ("weights", "told", "held", "plain", "entries", "held_entries")


def main() -> None:
    run = Run(
        __doc__,
        "coverage",
        quick="four losses, one small data set each, complete and with missing cells",
        replicates={"type": int, "default": 40, "help": "data sets of each kind (default: 40)"},
        losses={"nargs": "+", "choices": list(CASES), "metavar": "NAME", "help": "of these only"},
    )
    warnings.simplefilter("ignore", gcp.UndeterminedWarning)  # the table says it
    replicates = 1 if run.quick else run.given.replicates
    found = studied(run, run.given.losses or list(CASES)[: 4 if run.quick else None], replicates)
    rows = [row(*kind, of) for kind, of in found.items()]
    run.table("coverage", "Nominal 95 % intervals that hold the truth, and bias of the weights", rows)
    run.finish(draw(rows))


def studied(run: Run, names: list[str], replicates: int) -> dict[tuple, list[dict]]:
    """What was found in every data set, by loss, size and share of missing cells; known ones are read."""
    file = run.out / "data_sets.csv"
    known: dict[tuple, dict] = {}
    if file.exists():
        with open(file, newline="") as lines:
            known = {key(line): line for line in csv.DictReader(lines)}
    sizes = list(SIZES)[1:] if run.quick else list(SIZES)
    found: dict[tuple, list[dict]] = {
        (name, *kind): [] for kind in itertools.product(sizes, MISSING) for name in names
    }
    for number in range(replicates):
        for name, size, missing in found:
            about = {"loss": name, "size": size, "missing": missing, "number": number, "seed": run.seed}
            if key(about) in known:
                line = known[key(about)]
                run.spent += float(line["seconds"])
            else:
                line = about | data_set(CASES[name], SIZES[size], missing, seed_of(run.seed, about))
                append(file, line)
            found[name, size, missing].append(line)
    return found


def key(line: dict) -> tuple:
    return tuple(str(line[name]) for name in ("loss", "size", "missing", "number", "seed"))


def seed_of(seed: int, about: dict) -> list[int]:
    """The same data for any choice of losses."""
    return [seed, about["number"], *f"{about['loss']} {about['size']} {about['missing']}".encode()]


def append(file: Path, line: dict) -> None:
    new = not file.exists()
    with open(file, "a", newline="") as lines:
        writer = csv.DictWriter(lines, list(line))
        if new:
            writer.writeheader()
        writer.writerow(line)


def data_set(case: Case, shape: tuple[int, ...], missing: float, seed: list[int]) -> dict:
    """Numbers of intervals, and of those that hold the truth, in one data set; biases summed over its weights."""
    began = time.perf_counter()
    x, mask, (weights, columns), result = fitted(case, shape, missing, np.random.default_rng(seed))
    errors = standard_errors(result, x, mask=mask)
    plain = standard_errors(result, x, mask=mask, bias_correction=False)
    (low, high), others = errors.interval()
    (from_, to), _ = plain.interval()
    has = np.isfinite(low)
    entries = np.concatenate(
        [np.stack([a, t, b]).reshape(3, -1) for (a, b), t in zip(others, columns, strict=True)], axis=1
    )
    entries = entries[:, np.isfinite(entries[0])]
    numbers = (
        has.size,
        has.sum(),
        np.sum((low <= weights) & (weights <= high)),
        np.sum(((from_ <= weights) & (weights <= to))[has]),
        entries.shape[1],
        np.sum((entries[0] <= entries[1]) & (entries[1] <= entries[2])),
    )
    return dict(zip(COUNTS, map(int, numbers), strict=True)) | {
        "bias": float(np.sum((result.weights / weights - 1)[has])),
        "bias_corrected": float(np.sum((errors.corrected_weights / weights - 1)[has])),
        "seconds": round(time.perf_counter() - began, 2),
    }


def fitted(case: Case, shape: tuple[int, ...], missing: float, rng) -> tuple:
    """Data, where they are known, true weights and columns, and the fit that is matched with them."""
    loss = case.made()
    factors = planted(loss, case.scale, shape, rng)
    m = np.einsum("ar,br,cr->abc", *factors)
    if case.effects:
        for n, size in enumerate(shape):
            m = m + np.expand_dims(rng.normal(0, 0.7, size), [k for k in range(3) if k != n])
    x = rng.gamma(case.shape, m / case.shape) if case.loss == "gamma" else loss.sample(m, rng).astype(float)
    mask = rng.random(shape) >= missing
    options = {"init": factors, "mask": mask, "tol": 1e-10, "n_iter_max": 200, "n_threads": 1}
    told = gcp.get_loss(case.loss, r="estimate") if case.estimated else loss
    norms = [np.linalg.norm(a, axis=0) for a in factors]
    truth = np.prod(norms, axis=0), [a / norm for a, norm in zip(factors, norms, strict=True)]
    return x, mask, truth, align(gcp.fit_gcp(x, 2, loss=told, main_effects=case.effects, **options), truth)


def planted(loss: gcp.Loss, scale: float, shape: tuple[int, ...], rng) -> list[np.ndarray]:
    """Factors off the bound, whose model has the mean, or the spread, of the scale."""
    if loss.model_domain.low >= 0:
        factors = [rng.gamma(2.0, 1.0, (size, 2)) + 0.3 for size in shape]
    else:
        factors = [rng.standard_normal((size, 2)) for size in shape]
    m = np.einsum("ar,br,cr->abc", *factors)
    factors[0] *= scale / (m.mean() if loss.model_domain.low >= 0 else m.std())
    return factors


def row(name: str, size: str, missing: float, found: list[dict]) -> dict:
    """Of one kind of data."""
    total = {part: sum(int(line[part]) for line in found) for part in COUNTS}
    told = total["told"]

    def share(part: float, of: int) -> float | None:
        return round(part / of, 3) if of else None

    return {
        "loss": name,
        "size": size,
        "missing": missing,
        "data sets": len(found),
        "without": share(total["weights"] - told, total["weights"]),
        "weights": share(total["held"], told),
        "factors": share(total["held_entries"], total["entries"]),
        "plain": share(total["plain"], told),
        "bias": share(sum(float(line["bias"]) for line in found), told),
        "corrected bias": share(sum(float(line["bias_corrected"]) for line in found), told),
    }


def draw(rows: list[dict]):
    """Coverage by loss, a panel for each size and share of missing cells."""
    kinds = list(dict.fromkeys((row["size"], row["missing"]) for row in rows))
    names = list(dict.fromkeys(row["loss"] for row in rows))
    figure, axes = panels(1, len(kinds), 2.2 * len(kinds) + 2.4, 0.24 * len(names) + 1.2, sharey=True)
    for ax, (size, missing) in zip(axes[0], kinds, strict=True):
        for row in rows:
            if (row["size"], row["missing"]) != (size, missing) or row["weights"] is None:
                continue
            at = names.index(row["loss"])
            spread = 0.43 / np.sqrt(row["data sets"] * (1 - row["without"]))
            ax.plot(
                [0.95 - spread, 0.95 + spread], [at, at], color="0.8", lw=5, solid_capstyle="butt", zorder=0
            )
            if row["plain"] is not None:
                ax.plot(row["plain"], at, "x", color="0.5", ms=4)
            ax.plot(row["weights"], at, "o", color=BLUE, ms=5)
            ax.plot(row["factors"], at, "d", color=RED, ms=4)
        ax.axvline(0.95, color="0.5", lw=0.8)
        ax.set_xlim(0.4, 1.01)
        ax.set_title(f"{size}, {missing:.0%} missing", fontsize=8)
        ax.set_xlabel("coverage of 95 % intervals", fontsize=8)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    for marker, color, label in (
        ("o", BLUE, "weights"),
        ("d", RED, "factors"),
        ("x", "0.5", "weights, plain"),
    ):
        axes[0, 0].plot([], [], marker, color=color, ms=4, label=label)
    axes[0, 0].legend(fontsize=7, frameon=False, loc="lower left")
    return figure


if __name__ == "__main__":
    main()
