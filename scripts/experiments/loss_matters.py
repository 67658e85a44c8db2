"""Does the loss matter? Planted factors, found with the right loss and with the Gaussian one.

    python scripts/experiments/loss_matters.py [--quick] [--seed 0] [--out results/loss_matters]

Models of rank 3 are planted in tensors of 25 x 20 x 15 by `gcp.simulate`, under every loss of the registry that is a
distribution, from data that say nothing to data that leave little doubt: the scale of the model grows, and for gamma
and Rayleigh data, whose noise is relative so that scale does not matter, the share of cells that are known. Both
losses get the same data, the same number of random starts, the same limit of iterations and no penalty; both know
the rank. The right loss also knows its parameter (r, delta). The Gaussian model is nonnegative where the planted one
is.

- Factor match score (FMS): similarity of the fitted components to the planted ones, 1 if equal, without their
  weights, whose unit depends on the link. Lines are medians, bands quartiles; the dotted line is chance: another
  planted model instead of a fit.
- Error of the mean: ||fitted mean - true mean|| / ||true mean||, which compares models of different links. It is the
  Gaussian loss's own measure, for large cells decide it.

What is not the noise's distribution but something else, further fits tell apart:

- Where the mean is a curved function of the model (log, logit, odds, rates) no Gaussian model has the planted mean.
  `FMS, no noise` is that of the Gaussian fit to the true mean itself, the dashed line. Where the mean at a model of 0
  is not 0 (log, logit), Gaussian models have a fourth component, to be used for the constant; the score is that of
  the three best.
- A third fit for counts with a log link is what one would do without generalized losses: the Gaussian model of
  log(1 + x). The third fit of Bernoulli data with the logit link has the right loss with a ridge of 1 (the logarithm
  of a normal prior for the factors): where the data say little, weights of the model without one grow without end.

Two cases ask the reverse: Gaussian data fitted with Huber's loss, where Gaussian is right and the other loss the
rival; and Gaussian data of which 5 % of the cells get further errors of standard deviation 10, where Huber's loss
stands for the right one.

The idea is that of Hong, Kolda and Duersch (SIAM Review 62 (2020) 133-163), for counts of Chi and Kolda (SIAM Journal
on Matrix Analysis and Applications 33 (2012) 1272-1299). No published figures are quoted; all are this script's.

Writes summary.csv, medians.csv, fits.csv, run.json and loss_matters.png.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, Run, panels

import gcp
from gcp import analysis

RANK, SHAPE = 3, (25, 20, 15)
SIGNAL = (0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
COUNT = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
BINARY = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
KNOWN = (0.06, 0.12, 0.25, 0.5, 1.0)
OUTLIERS, OUTLIER_SD = 0.05, 10.0
GAUSSIAN = gcp.Gaussian()
LINES = {
    "right": ("right loss", BLUE, "o-"),
    "rival": ("Gaussian (in the control: Huber)", ORANGE, "s-"),
    "third": ("Gaussian of log(1 + x); with Bernoulli, logit: right loss with a ridge", GREEN, "^-"),
    "no noise": ("Gaussian, of the true mean", ORANGE, "--"),
    "chance": ("chance", "0.5", ":"),
}
FOUND = 0.9
"""A factor match score from which components are taken as found."""


@dataclass(frozen=True)
class Case:
    """A planted distribution, levels of difficulty, the loss that is right if it is another, a rival, a third fit."""

    planted: gcp.Loss
    levels: tuple[float, ...]
    axis: str
    right: gcp.Loss | None = None
    rival: gcp.Loss = GAUSSIAN
    outliers: bool = False
    third: str = ""

    @property
    def curved(self) -> bool:
        """Whether the mean is a curved function of the model."""
        return not np.isclose(self.planted.mean(2.0), 2 * self.planted.mean(1.0))

    def rank(self, loss) -> int:
        """Of the fits with this loss: one more for a constant where a model of 0 has another mean than 0."""
        return RANK + int(loss is GAUSSIAN and self.planted.mean(0.0) != 0)


CASES = {
    "Gaussian (control)": Case(
        GAUSSIAN, SIGNAL, "standard deviation of the model", rival=gcp.Huber(delta=1.0)
    ),
    "Gaussian with outliers": Case(
        GAUSSIAN, SIGNAL, "standard deviation of the model", right=gcp.Huber(delta=1.0), outliers=True
    ),
    "Huber (0.1)": Case(
        gcp.Huber(delta=0.1), (0.5, 0.8, 1.2, 2.0, 3.0, 5.0), "standard deviation of the model"
    ),
    "Poisson": Case(gcp.Poisson(), COUNT, "mean count"),
    "Poisson, log link": Case(gcp.PoissonLog(), SIGNAL, "standard deviation of log mean", third="log(1 + x)"),
    "negative binomial (r = 2)": Case(gcp.NegativeBinomial(r=2.0), COUNT, "mean odds, count / 2"),
    "negative binomial, logit link": Case(
        gcp.NegativeBinomialLogit(r=2.0), SIGNAL, "standard deviation of log odds", third="log(1 + x)"
    ),
    "Bernoulli, odds": Case(gcp.BernoulliOdds(), BINARY, "mean odds"),
    "Bernoulli, logit": Case(
        gcp.BernoulliLogit(), (0.3, 0.5, 0.7, 1.0, 2.0, 3.0), "standard deviation of log odds", third="ridge"
    ),
    "Bernoulli of Poisson": Case(gcp.BernoulliPoisson(), BINARY, "mean rate"),
    "gamma (exponential)": Case(gcp.Gamma(), KNOWN, "share of cells known"),
    "Rayleigh": Case(gcp.Rayleigh(), KNOWN, "share of cells known"),
}


def main() -> None:
    run = Run(__doc__, "loss_matters", quick="two levels, one replicate, one start, 10 x 8 x 6")
    shape, replicates = ((10, 8, 6), 1) if run.quick else (SHAPE, 10)
    effort = (
        {"n_starts": 1, "n_iter_max": 20} if run.quick else {"n_starts": 3, "n_iter_max": 300, "tol": 1e-6}
    )
    fits, medians = [], []
    for number, (name, case) in enumerate(CASES.items()):
        for level in (case.levels[0], case.levels[-1]) if run.quick else case.levels:
            own = [
                fit_all(name, case, level, shape, [run.seed, number, replicate], effort)
                for replicate in range(replicates)
            ]
            fits += [row for rows in own for row in rows]
            medians.append(median_line(name, case, level, own))
    run.csv("fits", fits)
    summary = [summarize(name, [row for row in medians if row["planted"] == name]) for name in CASES]
    caption = f"Where components are found: level at which the median factor match score passes {FOUND}"
    run.table("summary", caption, summary)
    caption = (
        f"Medians of {replicates} replicates: factor match score (FMS) and error of the mean. Third fit: of counts "
        "with a log link Gaussian of log(1 + x), of Bernoulli data with the logit link the right loss with a ridge"
    )
    run.table("medians", caption, medians)
    run.finish(draw(fits))


def plant(case, level, shape, seed):
    """Data at a level of difficulty, and the planted model; equal seeds have equal factors at all levels."""
    options = {"missing": 1 - level} if case.levels is KNOWN else {"scale": level}
    rng = np.random.default_rng(seed)
    data, truth = gcp.simulate(shape, RANK, case.planted, random_state=rng, **options)
    if not case.outliers:
        return data, truth
    hit = rng.random(shape) < OUTLIERS
    return gcp.DenseTensor(data.values + hit * rng.normal(0, OUTLIER_SD, shape)), truth


def fit_all(name, case, level, shape, seed, effort) -> list[dict]:
    """One data set, all fits of it, and chance: another planted model."""
    data, truth = plant(case, level, shape, seed)
    mean = case.planted.mean(truth.to_tensor())
    _, other = plant(case, level, shape, [*seed, 1])
    right = case.right or case.planted
    fits = {"right": (data, right, 0.0), "rival": (data, case.rival, 0.0)}
    if case.curved:
        fits["no noise"] = (mean, GAUSSIAN, 0.0)
    if case.third:
        counts = np.log1p(np.asarray(data.values, dtype=float))
        fits["third"] = (data, right, 1.0) if case.third == "ridge" else (counts, GAUSSIAN, 0.0)
    bounds = (0, None) if case.planted.model_domain.low == 0 else None
    rows = []
    for fitted, (values, loss, ridge) in fits.items():
        options = effort | {"loss": loss, "bounds": bounds, "l2_reg": ridge, "random_state": seed[-1]}
        result = gcp.fit_gcp(values, case.rank(loss), **options)
        found = result.predict()
        found = np.expm1(found) if fitted == "third" and case.third != "ridge" else found
        rows.append(
            {
                "planted": name,
                "level": level,
                "replicate": seed[-1],
                "fitted": fitted,
                "loss": loss.name,
                "score": score(result, truth),
                "chance": score(other, truth),
                "error of the mean": float(np.linalg.norm(found - mean) / np.linalg.norm(mean)),
                "converged": result.converged,
            }
        )
    return rows


def score(model, truth) -> float:
    return analysis.factor_match_score(model, truth, weights=False).score


def median_line(name, case, level, own) -> dict:
    """Of one case and level: medians, and how often the right loss is nearer to the planted factors."""

    def median(fitted, key) -> float:
        values = [row[key] for rows in own for row in rows if row["fitted"] == fitted]
        return float(np.median(values)) if values else np.nan

    def unfinished(fitted) -> int:
        return sum(not row["converged"] for rows in own for row in rows if row["fitted"] == fitted)

    pairs = [{row["fitted"]: row["score"] for row in rows} for rows in own]
    return {
        "planted": name,
        "level": level,
        "FMS, right": round(median("right", "score"), 3),
        "FMS, rival": round(median("rival", "score"), 3),
        "FMS, no noise": round(median("no noise", "score"), 3),
        "FMS, third fit": round(median("third", "score"), 3),
        "right is better": f"{sum(pair['right'] > pair['rival'] for pair in pairs)} of {len(pairs)}",
        "error, right": round(median("right", "error of the mean"), 3),
        "error, rival": round(median("rival", "error of the mean"), 3),
        "not converged": " + ".join(str(unfinished(which)) for which in ("right", "rival")),
    }


def summarize(name, rows) -> dict:
    """Levels at which either loss finds the components, and where the rival is no worse."""
    levels = [row["level"] for row in rows]
    right, rival = (np.array([row[f"FMS, {which}"] for row in rows]) for which in ("right", "rival"))
    errors = [(row["error, right"], row["error, rival"]) for row in rows]
    no_worse = [f"{level:g}" for level, a, b in zip(levels, right, rival, strict=True) if b >= a]
    less = [f"{level:g}" for level, (a, b) in zip(levels, errors, strict=True) if b <= a]
    return {
        "planted": name,
        "rival": CASES[name].rival.name,
        "right, found from": passes(levels, right),
        "rival, found from": passes(levels, rival),
        "rival's FMS no worse at": ", ".join(no_worse) or "no level",
        "rival's error no worse at": ", ".join(less) or "no level",
    }


def passes(levels, scores) -> str:
    """The level at which scores first reach FOUND, interpolated on the logarithm of the level."""
    above = np.flatnonzero(scores >= FOUND)
    if not above.size:
        return "never"
    k = int(above[0])
    if k == 0:
        return f"{levels[0]:g}"
    at = np.interp(FOUND, scores[k - 1 : k + 1], np.log(levels[k - 1 : k + 1]))
    return f"{np.exp(at):.2g}"


def draw(fits):
    """A panel for each planted loss: score by level, medians and quartiles."""
    figure, axes = panels(4, 3, 10.0, 12.5, sharey=True)
    for ax, (name, case) in zip(axes.flat, CASES.items(), strict=True):
        draw_case(ax, [row for row in fits if row["planted"] == name])
        ax.set(ylim=(0, 1.02))
        ax.set_title(f"planted: {name}", fontsize=10)
        ax.set_xlabel(case.axis, fontsize=9)
    for ax in axes[:, 0]:
        ax.set_ylabel("factor match score", fontsize=9)
    handles = {}
    for ax in axes.flat:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    shown = [label for label, _, _ in LINES.values() if label in handles]
    figure.legend(
        [handles[label] for label in shown],
        shown,
        loc="outside lower center",
        ncols=2,
        fontsize=9,
        frameon=False,
    )
    return figure


def draw_case(ax, rows) -> None:
    levels = sorted({row["level"] for row in rows})

    def quartiles(key, fitted):
        chosen = [[r[key] for r in rows if (r["level"], r["fitted"]) == (level, fitted)] for level in levels]
        return np.quantile(chosen, (0.25, 0.5, 0.75), axis=1)

    for fitted, (label, color, style) in LINES.items():
        if fitted == "chance":
            low, middle, high = quartiles("chance", "right")
        elif any(row["fitted"] == fitted for row in rows):
            low, middle, high = quartiles("score", fitted)
        else:
            continue
        if fitted in ("right", "rival", "third"):
            ax.fill_between(levels, low, high, color=color, alpha=0.2, linewidth=0)
        ax.plot(levels, middle, style, color=color, markersize=4, linewidth=1.3, label=label)
    ax.set_xscale("log")
    ax.set_xticks(levels, [f"{level:g}" for level in levels])
    ax.minorticks_off()


if __name__ == "__main__":
    main()
