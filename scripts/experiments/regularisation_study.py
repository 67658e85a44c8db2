"""Which regularisation predicts cells that were not seen?

    python scripts/experiments/regularisation_study.py [--quick] [--seed 0] [--splits 3] [--out DIR]

Of data sets of `gcp.datasets`, 70 % of the known cells are fitted, 10 % choose the rank (1, 2, 3, 5, 8) and the
strength, and the loss of the other 20 % is compared with that of rank 0 (the best constant; for links with models of
any sign the main effects alone, which then stand beside the components too). All are minimised by SciPy's L-BFGS-B
from the same starts (a random one and, but for early stopping, the model of the next smaller rank); the penalties are
written out below, apart from the package's own.

- none; ridge: on the factors; centred ridge: on their distances to the mean of their column
- lasso: on the components' weights; squared weights: half their squares
- dirichlet: minus the logarithms of entries in their column's mean, of nonnegative models only
- marginal likelihood: a ridge for each component and mode, from its rows' effective degrees of freedom (MacKay 1992)
- early stopping: the iteration that is best for the choosing cells, without penalty

No published result is reproduced. docs/decisions/0019-penalties.md says what followed. Writes scores.csv (every fit),
a table for each case, run.json and regularisation_study.png.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from _experiment import BLUE, RED, Run, panels
from scipy.optimize import minimize

import gcp

RANKS = (1, 2, 3, 5, 8)
FLOOR = 1e-3
DATA = {
    "nations, logit": ("nations", gcp.BernoulliLogit(), 1.0),
    "nations, odds": ("nations", gcp.BernoulliOdds(), 1.0),
    "kinships, logit": ("kinships", gcp.BernoulliLogit(), 1.0),
    "wind, gaussian": ("nyc_wind", gcp.Gaussian(), 1.0),
    "rain, gamma": ("india_rainfall", gcp.Gamma(), 0.3),
    "flights, poisson": ("nyc_flights", gcp.Poisson(), 1.0),
    "bikes, poisson": ("trondheim_bikes", gcp.Poisson(), 0.1),
    "scarce bikes, poisson": ("trondheim_bikes", gcp.Poisson(), 0.02),
    "scarce bikes, negative binomial": ("trondheim_bikes", gcp.NegativeBinomial(r=1.0), 0.02),
}
"""Name: data set, loss, share of the cells that is used at all."""
CAPTION = "judging loss below that of rank 0 at the chosen rank and strength, and the judging loss by rank"


@dataclass
class Problem:
    """Factors of components beside main effects (or none) to a function for SciPy."""

    x: np.ndarray
    train: np.ndarray
    loss: gcp.Loss
    most_steps: int = 400

    def __post_init__(self) -> None:
        self.objective = gcp.build_objective(self.x, self.loss, mask=self.train)
        self.signed = self.loss.model_domain.low < 0
        self.n = self.x.ndim
        self.constant = self.objective.null_constant
        slope = self.loss.deriv(self.x[self.train], self.constant)
        fisher = float(self.loss.fisher(np.array([self.constant]))[0])
        self.noise = np.sqrt(np.sum(slope**2) / self.x.size) * np.sum(np.sqrt(self.x.shape))
        self.dispersion = float(np.mean(slope**2)) / fisher
        self.effects_ridge = fisher

    def joined(self, factors, effects):
        if not self.signed:
            return factors
        columns = [np.ones((size, self.n)) for size in self.x.shape]
        for n, vector in enumerate(effects):
            columns[n][:, n] = vector
        return [np.hstack([a, b]) for a, b in zip(factors, columns, strict=True)]

    def model(self, factors, effects, where):
        whole = self.joined(factors, effects)
        rows = [a[index] for a, index in zip(whole, np.nonzero(where), strict=True)]
        return np.prod(rows, axis=0).sum(axis=1)

    def judge(self, factors, effects, where) -> float:
        return float(np.mean(self.loss.value(self.x[where], self.model(factors, effects, where))))

    def solve(self, factors, effects, penalty, steps=400, watch=None):
        """Factors and main effects at the minimum, and its value."""
        steps = min(steps, self.most_steps)
        rank, shape = factors[0].shape[1], self.x.shape
        ends = np.cumsum([size * rank for size in shape] + ([*shape] if self.signed else []))

        def unpacked(z):
            parts = np.split(z, ends[:-1])
            return [a.reshape(-1, rank) for a in parts[: self.n]], parts[self.n :]

        def value_and_grad(z):
            factors, effects = unpacked(z)
            value, grad = self.objective.value_and_grad(self.joined(factors, effects))
            price, slope = penalty(factors)
            parts = [g[:, :rank] + s for g, s in zip(grad, slope, strict=True)]
            for n, vector in enumerate(effects):
                centred = vector - (vector.mean() if n == 0 else 0.0)
                parts.append(grad[n][:, rank + n] + self.effects_ridge * centred)
                price += 0.5 * self.effects_ridge * float(centred @ centred)
            return value + price, np.concatenate([part.ravel() for part in parts])

        start = np.concatenate([a.ravel() for a in factors] + (list(effects) if self.signed else []))
        found = minimize(
            value_and_grad,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(None if self.signed else 0.0, None)] * len(start),
            options={"maxiter": steps, "maxfun": 4 * steps, "ftol": 1e-9, "gtol": 1e-12},
            callback=None if watch is None else lambda z: watch(*unpacked(z.copy())),
        )
        return *unpacked(found.x), float(found.fun)


# --- penalties: (value, gradients) of factors -------------------------------------------------------------


def nothing(factors):
    return 0.0, [np.zeros_like(a) for a in factors]


def ridge(strength):
    return lambda factors: (
        0.5 * strength * sum(np.sum(a * a) for a in factors),
        [strength * a for a in factors],
    )


def centred_ridge(strength, beside=0.01):
    def penalty(factors):
        away = [a - a.mean(axis=0) for a in factors]
        value = 0.5 * sum(
            strength * np.sum(c * c) + beside * np.sum(a * a) for c, a in zip(away, factors, strict=True)
        )
        return value, [strength * c + beside * a for c, a in zip(away, factors, strict=True)]

    return penalty


def of_norms(strength, power):
    """Strength times the mean over modes of ||column||**power: of balanced factors, of weight**(power / modes)."""

    def penalty(factors):
        norms = [np.sqrt(np.sum(a * a, axis=0) + 1e-12) for a in factors]
        scale = strength / len(factors)
        slopes = [scale * power * norm ** (power - 2) * a for norm, a in zip(norms, factors, strict=True)]
        return scale * sum(np.sum(norm**power) for norm in norms), slopes

    return penalty


def dirichlet(strength):
    def penalty(factors):
        value, slopes = 0.0, []
        for a in factors:
            mean = np.maximum(a.mean(axis=0), 1e-300)
            raised = a / mean + FLOOR
            value -= strength * np.sum(np.log(raised))
            inverse = strength / (raised * mean)
            slopes.append(strength / mean - inverse - FLOOR * inverse.mean(axis=0))
        return value, slopes

    return penalty


def ridges(strengths):
    return lambda factors: (
        0.5 * sum(np.sum(g * a * a) for g, a in zip(strengths, factors, strict=True)),
        [g * a for g, a in zip(strengths, factors, strict=True)],
    )


def marginal_likelihood(problem, factors, effects, rounds=12):
    """Ridges from MacKay's fixed point, the covariance of each row apart from all others'."""
    rank, scale = factors[0].shape[1], problem.dispersion
    strengths = [np.full(rank, 0.3) for _ in factors]
    known = problem.train
    subs = np.nonzero(known)
    for step in range(rounds):
        last = step == rounds - 1
        factors, effects, value = problem.solve(factors, effects, ridges(strengths), 400 if last else 60)
        if last:
            break
        factors = balanced(factors)
        m = problem.model(factors, effects, known)
        weight = np.nan_to_num(np.maximum(problem.loss.fisher(m), 0.0), posinf=0.0)
        freedom, new = 0.0, []
        for n, a in enumerate(factors):
            others = np.prod([b[subs[k]] for k, b in enumerate(factors) if k != n], axis=0)
            h = np.zeros((len(a), rank, rank))
            np.add.at(h, subs[n], weight[:, None, None] * others[:, :, None] * others[:, None, :])
            inverse = np.linalg.inv(h + np.diag(strengths[n]) + 1e-9 * np.eye(rank))
            known_share = np.clip(1 - strengths[n] * np.einsum("irr->ir", inverse), 0.0, 1.0).sum(axis=0)
            freedom += known_share.sum()
            size = np.maximum(np.sum(a * a, axis=0), 1e-10)
            new.append(np.clip(scale * np.maximum(known_share, 0.05) / size, 1e-6, 1e6))
        strengths = new
        slope = problem.loss.deriv(problem.x[known], m)
        scale = np.sum(slope**2) / max(np.sum(weight), 1e-300) / max(1 - freedom / known.sum(), 0.2)
    return factors, effects, value


def balanced(factors):
    norms = np.array([np.linalg.norm(a, axis=0) for a in factors])
    root = np.prod(norms, axis=0) ** (1 / len(factors))
    return [a / np.maximum(norm, 1e-300) * root for a, norm in zip(factors, norms, strict=True)]


# --- the comparison ---------------------------------------------------------------------------------------


def main() -> None:
    run = Run(
        __doc__,
        "regularisation_study",
        quick="one data set, ranks 1 and 2, one split, 20 steps a fit",
        splits={"type": int, "default": 3, "help": "of each data set (default: 3)"},
        case={"nargs": "+", "default": list(DATA), "choices": list(DATA), "help": "data and loss"},
    )
    names, splits, ranks, most_steps = run.given.case, run.given.splits, RANKS, 400
    if run.quick:
        names, splits, ranks, most_steps = ["nations, odds"], 1, RANKS[:2], 20
    rows, found = [], {}
    warnings.simplefilter("ignore", RuntimeWarning)
    for name in names:
        tensor = run.dataset(DATA[name][0])
        own = []
        for seed in range(run.seed, run.seed + splits):
            own += compare(name, tensor, seed, ranks, most_steps)
        rows += own
        found[name] = gains(own)
        run.table(name.replace(", ", "_").replace(" ", "_"), f"{name}: {CAPTION}", by_rank(own))
    run.csv("scores", rows)
    run.finish(draw(found))


def compare(name, tensor, seed, ranks, most_steps) -> list[dict]:
    """Losses of the choosing and the judging cells, of every regularisation, strength and rank."""
    _, loss, share = DATA[name]
    known = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights > 0
    x = np.where(known, tensor.values, 1.0)
    if loss.name == "gamma":
        known &= x > 0
        x = np.where(known, x, 1.0)
    if x.ndim == 4:  # origins and destinations of flights are one mode of routes
        x, known = (a.reshape(-1, *a.shape[2:]) for a in (x, known))
        used = x.sum(axis=(1, 2)) > 0
        x, known = x[used], known[used]
    rng = np.random.default_rng(seed)
    known &= rng.random(x.shape) < share
    part = rng.random(x.shape)
    train, choosing, judging = (
        known & (part < 0.7),
        known & (part >= 0.7) & (part < 0.8),
        known & (part >= 0.8),
    )
    problem, rows = Problem(x, train, loss, most_steps), []

    def add(kind, rank, strength, factors, effects):
        chosen, judged = (problem.judge(factors, effects, where) for where in (choosing, judging))
        key = {"data": name, "seed": seed, "regularisation": kind, "rank": rank, "strength": strength}
        rows.append(key | {"choosing": chosen, "judging": judged})
        return chosen

    zeros = [np.zeros((size, 1)) for size in x.shape]
    additive = [np.full(size, problem.constant if n == 0 else 0.0) for n, size in enumerate(x.shape)]
    if problem.signed:
        _, additive, _ = problem.solve(zeros, additive, nothing)
        add("rank 0", 0, 0.0, zeros, additive)
    else:
        add("rank 0", 0, 0.0, [np.full_like(a, problem.constant ** (1 / problem.n)) for a in zeros], additive)
    starts = {rank: start(problem, rank, rng) for rank in ranks}
    candidates = [("none", 0.0, nothing)]
    candidates += [("ridge", s, ridge(s)) for s in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)]
    candidates += [("centred ridge", s, centred_ridge(s)) for s in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)]
    unit, n = problem.noise, problem.n
    candidates += [("lasso", s, of_norms(s * unit, n)) for s in (0.01, 0.03, 0.1, 0.2, 0.4, 1.0)]
    candidates += [("squared weights", s, of_norms(0.5 * s * unit, 2 * n)) for s in (1e-4, 1e-3, 1e-2, 0.1)]
    if not problem.signed:
        unit = problem.dispersion
        candidates += [("dirichlet", s, dirichlet(s * unit)) for s in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)]
    candidates.append(("marginal likelihood", 0.0, None))
    for kind, strength, penalty in candidates:
        before = None
        for rank in ranks:
            begins = [starts[rank]]
            if before is not None:
                extra = rank - before[0].shape[1]
                begins.append(
                    [np.hstack([a, 0.3 * b[:, :extra]]) for a, b in zip(before, starts[rank], strict=True)]
                )
            if penalty is None:
                ends = [marginal_likelihood(problem, begin, additive) for begin in begins]
                best = min(ends, key=lambda end: problem.judge(*end[:2], choosing))
            else:
                best = min(
                    (problem.solve(begin, additive, penalty) for begin in begins), key=lambda end: end[2]
                )
            add(kind, rank, strength, *best[:2])
            before = balanced(best[0])
    for rank in ranks:
        add("early stopping", rank, 0.0, *stopped(problem, starts[rank], additive, choosing))
    return rows


def start(problem, rank, rng):
    shape = problem.x.shape
    if problem.signed:
        return [0.6 * rng.standard_normal((size, rank)) for size in shape]
    factors = [rng.uniform(0.1, 1.0, (size, rank)) for size in shape]
    mean = np.prod([a.mean(axis=0) for a in factors], axis=0).sum()
    return [a * (problem.constant / mean) ** (1 / len(shape)) for a in factors]


def stopped(problem, factors, effects, choosing):
    """The iteration that the choosing cells prefer."""
    best = [np.inf, factors, effects]

    def watch(factors, effects):
        value = problem.judge(factors, effects, choosing)
        if value < best[0]:
            best[:] = [value, factors, effects]

    problem.solve(factors, effects, nothing, 200, watch)
    return best[1:]


def gains(rows) -> dict[str, list[float]]:
    """By regularisation, how much lower than rank 0's the judging loss of the chosen fit is; mean, and its error."""
    found = {}
    for kind in dict.fromkeys(row["regularisation"] for row in rows):
        gain = []
        for seed in sorted({row["seed"] for row in rows}):
            own = [row for row in rows if row["seed"] == seed]
            base = next(row["judging"] for row in own if row["rank"] == 0)
            best = min((row for row in own if row["regularisation"] == kind), key=lambda row: row["choosing"])
            gain.append(base - best["judging"])
        error = float(np.std(gain, ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
        found[kind] = [round(float(np.mean(gain)), 5), round(error, 5)]
    return found


def by_rank(rows) -> list[dict]:
    """Gains, and the judging loss at each rank, at the strength that the choosing cells prefer."""
    ranks, seeds = sorted({row["rank"] for row in rows} - {0}), sorted({row["seed"] for row in rows})
    table = []
    for kind, (gain, error) in gains(rows).items():
        if kind == "rank 0":
            continue
        line = {"regularisation": kind, "gain": gain, "standard error": error}
        for rank in ranks:
            best = []
            for seed in seeds:
                own = [r for r in rows if (r["seed"], r["regularisation"], r["rank"]) == (seed, kind, rank)]
                best.append(min(own, key=lambda row: row["choosing"])["judging"])
            line[f"rank {rank}"] = round(float(np.mean(best)), 4)
        table.append(line)
    return table


def draw(found):
    """Gains of every regularisation, in that of the best one, a panel for each data set."""
    kinds = [kind for kind in dict.fromkeys(k for own in found.values() for k in own) if kind != "rank 0"]
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    figure, axes = panels(lines, columns, 2.6 * columns + 1.2, 1.9 * lines + 0.5, sharey=True)
    for ax, (name, own) in zip(axes.flat, found.items(), strict=False):
        for k, kind in enumerate(kinds):
            if kind in own:
                gain, error = own[kind]
                color = RED if kind in ("lasso", "dirichlet") else BLUE
                ax.errorbar(gain, k, xerr=error, fmt="o", ms=4, lw=1, color=color)
        ax.axvline(0, color="0.7", lw=0.8)
        ax.set_title(name, fontsize=8)
        ax.set_yticks(range(len(kinds)), kinds)
    axes.flat[0].invert_yaxis()
    for ax in axes.flat[len(found) :]:
        ax.set_visible(False)
    figure.supxlabel("held-out loss below that of rank 0", fontsize=8)
    return figure


if __name__ == "__main__":
    main()
