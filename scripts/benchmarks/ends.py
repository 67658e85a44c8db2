"""Is an end that is called converged a minimum? Random small problems, each handed on to another minimiser.

    python scripts/benchmarks/ends.py [--problems 250] [--seed 0] [--list]

Every problem draws a loss, two or three modes of 3 to 9 positions, a rank, a kind of data (dense, with missing
entries, a list of known ones, sparse), float32 or float64, entry weights, main effects or a ridge, and the solver
("auto" or "lbfgsb"). From the end, L-BFGS-B and truncated Newton of SciPy go on with an objective of their own: an
einsum in float64, the loss as NumPy evaluates it. What they gain is measured in the excess over the saturated
model. An end is false if it is called converged and they gain more than 1e-7 (float32: 1e-4).

Needs no extra. Prints a table by status, and with --list every false end.
"""

from __future__ import annotations

import argparse
import collections
import warnings

import numpy as np
from _losses import RACED
from scipy.optimize import minimize

import gcp

GAIN = {"float64": 1e-7, "float32": 1e-4}
LOSSES = (
    *RACED,
    gcp.Huber(0.3),
    gcp.NegativeBinomial(r=0.5),
    gcp.NegativeBinomialLogit(r=3.0),
    gcp.BetaDivergence(0.0),
    gcp.BetaDivergence(1.5),
)
SYMBOLS = "abc"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print every false end")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    n_false, iterations = 0, []
    for seed in range(arguments.seed, arguments.seed + arguments.problems):
        problem = drawn(np.random.default_rng(seed))
        result, gain = judged(problem, seed)
        counts[result.status] += 1
        iterations.append(result.n_iter)
        if result.converged and gain > GAIN[problem["dtype"]]:
            n_false += 1
            if arguments.list:
                told = {name: value for name, value in problem.items() if name not in ("x", "w")}
                print(
                    f"{seed}: {gain:.2g} to gain, gradient {result.projected_gradient_norm:.1g}, "
                    f"{result.n_iter} iterations: {told}",
                    flush=True,
                )
    print("\n| status | ends |\n|---|---|")
    for status, n in sorted(counts.items()):
        print(f"| {status} | {n} |")
    print(f"\nFalse ends: {n_false} of {arguments.problems}; iterations: median {np.median(iterations):.0f}.")


def drawn(rng):
    """A problem."""
    loss = LOSSES[rng.integers(len(LOSSES))]
    loss = gcp.get_loss(loss) if isinstance(loss, str) else loss
    shape = tuple(int(n) for n in rng.integers(3, 10, rng.integers(2, 4)))
    rank = int(rng.integers(1, 4))
    kind = ("dense", "missing", "listed", "sparse")[rng.integers(4)]
    positive = loss.model_domain.low >= 0
    draw = rng.standard_exponential if positive else rng.standard_normal
    factors = [draw((n, rank)) for n in shape]
    factors[0] *= np.exp(rng.normal(0.0, 1.0))
    x = np.asarray(loss.sample(np.minimum(model(factors), 40.0), rng), dtype=float)  # exp(40) can be drawn
    if loss.data_domain.low == 0:
        x = np.abs(x)
        if kind == "sparse" and loss.data_domain.contains(np.zeros(1))[0]:
            x *= rng.random(shape) < 0.5
    if kind == "sparse" and not loss.data_domain.contains(np.zeros(1))[0]:
        kind = "listed"
    known = rng.random(shape) < (0.7 if kind in ("missing", "listed") else 2.0)
    weights = rng.integers(1, 4, shape) * 1.0 if rng.random() < 0.3 and kind != "sparse" else np.ones(shape)
    has_effects = bool(rng.random() < 0.4)
    return {
        "loss": loss,
        "x": x,
        "w": known * weights,
        "rank": rank,
        "kind": kind,
        "dtype": ("float32", "float64")[int(rng.random() < 0.75)],
        "weighted": bool(weights.max() > 1),
        "effects": has_effects,
        "ridge": 0.0 if has_effects else float(rng.choice([0.0, 0.1])),
        "solver": ("auto", "lbfgsb")[int(rng.random() < 0.4)],
    }


def data_of(problem):
    """As the kind has it."""
    x, w = problem["x"].astype(problem["dtype"]), problem["w"]
    known = w > 0
    if problem["kind"] == "sparse":
        return gcp.SparseTensor(np.argwhere(x != 0), x[x != 0], x.shape), None
    if problem["kind"] == "listed":
        own = w[known] if problem["weighted"] else None
        return gcp.ObservedTensor(np.argwhere(known), x[known], x.shape, own), None
    return x, (w if problem["weighted"] or not known.all() else None)


def judged(problem, seed):
    """The fit, and what others gain from its end, relative to its excess."""
    data, weights = data_of(problem)
    result = gcp.fit_gcp(
        data,
        problem["rank"],
        loss=problem["loss"],
        solver=problem["solver"],
        main_effects=problem["effects"],
        l2_reg=problem["ridge"],
        entry_weights=weights,
        random_state=seed,
        n_threads=1,
    )
    start, shapes, lower = variables(result, problem["effects"])
    ridge, w = problem["ridge"], problem["w"]
    loss, x = result.loss, problem["x"].astype(problem["dtype"]).astype(float)

    def function(z):
        parts = unpacked(z, shapes)
        n = len(x.shape)
        m, effects = model(parts[:n]), parts[n:]
        for k, e in enumerate(effects):
            m = m + e.reshape([-1 if j == k else 1 for j in range(n)])
        known = w > 0
        value = float(np.sum(w[known] * loss.value(x[known], m[known])))
        y = np.zeros_like(x)
        y[known] = w[known] * loss.deriv(x[known], m[known])
        grad = [slope(y, parts[:n], k) for k in range(n)]
        grad += [y.sum(axis=tuple(j for j in range(n) if j != k)) for k in range(len(effects))]
        for k in range(n):
            value += 0.5 * ridge * float(np.sum(parts[k] ** 2))
            grad[k] = grad[k] + ridge * parts[k]
        return value, np.concatenate([g.ravel() for g in grad])

    value, _ = function(start)
    off = abs(value - result.objective)
    assert off <= 1e-4 * max(1.0, abs(value)), f"{seed}: {value} is not {result.objective}"
    deviance = abs(result.null_objective - result.saturated_objective)
    # Of the deviance: times GAIN, what rounding of the entries leaves of it.
    exact = 1e-9 if problem["dtype"] == "float64" else 1e-4
    excess = max(value - result.saturated_objective, exact * deviance, 1e-12 * abs(value), 1e-300)
    bounds, best = [(lower, None)] * len(start), value
    options = {"maxiter": 4000, "maxfun": 20000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 30}
    for method, chosen in (("L-BFGS-B", options), ("TNC", {"maxfun": 2000})):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = minimize(function, start, jac=True, bounds=bounds, method=method, options=chosen)
        if np.isfinite(found.fun):
            best = min(best, float(found.fun))
    return result, (value - best) / excess


def variables(result, has_effects):
    """The model as one vector, the shapes of its parts, and the lower bound."""
    weights, factors = result.weights, result.factors
    n, size = len(factors), np.asarray(weights, float) ** (1 / len(factors))
    parts = [np.asarray(a, float) * size for a in factors]
    lower = 0.0 if result.loss.model_domain.low >= 0 else None
    if has_effects:
        names = result.labels.names
        effects = [np.asarray(result.main_effects[names[k]], float).copy() for k in range(n)]
        total = result.intercept
        for k in range(1, n):
            if lower is not None:
                total += effects[k].min()
                effects[k] -= effects[k].min()
        effects[0] = effects[0] + total
        parts += effects
    start = np.concatenate([a.ravel() for a in parts])
    if lower is not None:
        start = np.maximum(start, 0.0)
    return start, [a.shape for a in parts], lower


def unpacked(z, shapes):
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [a.reshape(shape) for a, shape in zip(np.split(z, ends[:-1]), shapes, strict=True)]


def model(factors):
    """Every entry."""
    modes = SYMBOLS[: len(factors)]
    return np.einsum(",".join(f"{s}r" for s in modes) + "->" + modes, *factors)


def slope(y, factors, mode):
    """The gradient in one factor."""
    modes = SYMBOLS[: len(factors)]
    others = [(s, a) for k, (s, a) in enumerate(zip(modes, factors, strict=True)) if k != mode]
    formula = ",".join([modes, *(f"{s}r" for s, _ in others)]) + f"->{modes[mode]}r"
    return np.einsum(formula, y, *(a for _, a in others))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
