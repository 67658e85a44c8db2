"""Checks of losses."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
from scipy import optimize

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.interval import Interval
from gcp.base.types import FloatArray
from gcp.losses.base import Loss
from gcp.tensors.dense import DenseTensor
from gcp.testing.agreement import demand, demand_close, models_in, points_in, smooth_difference

_N_POINTS = 300
_N_DRAWS = 4000


def check_loss(loss: Loss, random_state: int = 0) -> None:
    """Check that a loss is what kernels, solvers and judgements take it for.

    - ``deriv`` against central differences of ``value``, ``curvature`` against those of ``deriv`` (fourth order);
      points next to a kink, where two lengths of steps disagree, do not count, if they are few
    - all three keep one value per entry when data and models are broadcast
    - all three, and the curvature weights, are finite at the ends of both domains and at models of plus and minus
      700 (as far as the domain goes); the weights are nowhere negative
    - the data domain holds no NaN and no infinities, nothing outside its ends, and whole numbers alone if it says so,
      of every type
    - the compiled formula against NumPy's, with and without entry weights, in float64, at the edges, and in float32;
      an entry of weight 0 adds nothing, be it NaN
    - ``zero_loss``, if there is one, against ``value`` at x = 0
    - ``link`` inverts ``mean``
    - ``deriv`` vanishes at ``saturated``, unless that is at the end of the model's domain
    - ``saturated_value`` against a bounded search by SciPy; the deviance is nowhere negative
    - ``log_likelihood`` plus ``value`` is constant in m, if the loss is a likelihood
    - ``sample``, if the loss is a distribution: the same for the same generator, inside the data domain, and with the
      mean that ``mean`` says, within five standard errors of 4000 draws
    - equal parameters make equal losses, with equal hashes, that cannot be changed

    Densities are not checked by name: compare ``log_likelihood`` with that of `scipy.stats` for your distribution.

    Parameters
    ----------
    loss : Loss
        Also of `custom_loss`.
    random_state : int
        Decides the points.

    Raises
    ------
    AssertionError
        A sentence that says which property fails, and at which x and m.

    Examples
    --------
    >>> import gcp
    >>> gcp.testing.check_loss(gcp.NegativeBinomial(r=2.0))
    """
    checks.instance("loss", loss, Loss, "a Loss")  # type: ignore[type-abstract]
    rng = np.random.default_rng(checks.seed(random_state))
    x = points_in(loss.data_domain, _N_POINTS, rng)
    m = models_in(loss.model_domain, _N_POINTS, rng)
    _check_derivatives(loss, x, m)
    _check_shapes(loss)
    _check_edges(loss, m)
    _check_domain(loss, x)
    demand_close(
        f"{loss!r}: link is not the inverse of mean",
        loss.link(loss.mean(m)),
        m,
        rtol=1e-9,
        atol=1e-9,
        at={"m": m},
    )
    _check_zeros(loss, m)
    _check_saturated(loss, x, m)
    _check_likelihood(loss, x, m)
    _check_sample(loss, checks.seed(random_state))
    _check_identity(loss)
    _check_compiled(loss, x, m, rng)


def _check_derivatives(loss: Loss, x: FloatArray, m: FloatArray) -> None:
    for name, function, derivative, atol in (
        ("deriv", loss.value, loss.deriv, 1e-8),
        ("curvature", loss.deriv, loss.curvature, 1e-7),
    ):
        of = "value" if name == "deriv" else "deriv"
        numeric, smooth = smooth_difference(f"{loss!r}: {of}", partial(function, x), m)
        demand_close(
            f"{loss!r}: {name} is not the derivative of {of}",
            derivative(x, m)[smooth],
            numeric[smooth],
            rtol=5e-6,
            atol=atol,
            at={"x": x[smooth], "m": m[smooth]},
        )


def _check_shapes(loss: Loss) -> None:
    x, m = np.ones((3, 1)), np.full((1, 4), 0.5)
    for name in ("value", "deriv", "curvature"):
        shape = getattr(loss, name)(x, m).shape
        demand(
            shape == (3, 4),
            f"{loss!r}: {name} of data of shape (3, 1) and models of shape (1, 4) has shape {shape}, not (3, 4).",
        )


def _ends(domain: Interval, inside: tuple[float, ...]) -> FloatArray:
    """Return the ends of a domain that belong to it, and those of some numbers that do, shape (n,)."""
    found = np.array([domain.low, domain.high, *inside])
    return np.unique(found[domain.contains(found)])


def _check_edges(loss: Loss, m: FloatArray) -> None:
    positive = loss.model_domain.low >= 0
    x = _ends(loss.data_domain, (1e-3, 1.0, 700.0, 1e6) if positive else (0.0, 1.0, 700.0))
    far = _ends(
        loss.model_domain,
        (5e-324, 1e-300, 1e-12, 700.0, 1e8) if positive else (-700.0, -40.0, 0.0, 40.0, 700.0),
    )
    data, models = (a.ravel() for a in np.meshgrid(x, np.concatenate([far, m[:50]])))
    formula = loss.formula
    with np.errstate(all="ignore"):
        weight = loss.curvature(data, models) if formula.weight is None else None
        if formula.weight is not None:
            weight = np.broadcast_to(formula.weight(data, models, *formula.params), data.shape)
    for name, found in (
        ("value", loss.value(data, models)),
        ("deriv", loss.deriv(data, models)),
        ("curvature", loss.curvature(data, models)),
        ("weight", np.asarray(weight)),
    ):
        bad = ~np.isfinite(found)
        if name == "weight" and formula.weight is not None:
            bad |= found < 0
        if bad.any():
            k = int(np.argmax(bad))
            kind = "a finite number" + (" from 0" if name == "weight" else "")
            raise AssertionError(
                f"{loss!r}: {name} must be {kind}: found {found[k]:g} at x = {data[k]:g}, m = {models[k]:g}."
            )


def _check_domain(loss: Loss, x: FloatArray) -> None:
    domain = loss.data_domain
    outside = [
        np.nan,
        np.inf,
        -np.inf,
        domain.low - 1,
        domain.high + 1,
        *([x[0] + 0.5] if domain.integer else []),
    ]
    outside += [domain.low] if domain.open_low else []
    for value in outside:
        demand(not domain.contains(value), f"{loss!r}: its data domain, {domain}, contains {value}.")
    inside = domain.contains(x)
    demand(inside.all(), f"{loss!r}: its data domain, {domain}, does not contain {x[np.argmin(inside)]}.")
    if domain.contains(1.0):
        for dtype in (bool, np.int8, np.uint8, np.int64, np.float16, np.float32):
            known = domain.contains(np.ones(3, dtype)).all()
            demand(
                known, f"{loss!r}: its data domain, {domain}, does not contain 1 of type {dtype.__name__}."
            )


def _one_pass(loss: Loss, x: FloatArray, m: FloatArray, weights: Any = None) -> tuple[float, FloatArray]:
    """Return the compiled sum and the derivatives (n,): a vector of one component is its own model."""
    tensor = DenseTensor(x, entry_weights=weights)
    total, (deriv,), _ = tensor.loss_and_mttkrps(loss.formula, [m[:, None]], 1)
    return total, deriv[:, 0]


def _check_compiled(loss: Loss, x: FloatArray, m: FloatArray, rng: np.random.Generator) -> None:
    weights = rng.uniform(0.1, 2.0, x.size)
    positive = loss.model_domain.low >= 0
    edges = np.array([0.0, 1e-300, 700.0] if positive else [-700.0, -40.0, 0.0, 40.0, 700.0])
    ones = _ends(loss.data_domain, (1.0,))[-1] + np.zeros(edges.size)
    single = x.astype(np.float32), m.astype(np.float32)
    for kind, data, models, w, rtol in (
        ("", x, m, None, 1e-12),
        (" with entry weights", x, m, weights, 1e-12),
        (" at the edges", ones, edges, None, 1e-12),
        (" in float32", *single, None, 1e-5),
    ):
        at, factor = {"x": data, "m": models}, 1.0 if w is None else w
        values, atol = factor * loss.value(data, models), 0.0 if "edges" in kind else rtol
        total, deriv = _one_pass(loss, data, models, w)
        what = f"{loss!r}: the compiled formula{kind} is not NumPy's,"
        scale = float(np.abs(values).sum())
        demand_close(f"{what} in the sum", total, values.sum(), rtol=0.0, atol=rtol * scale)
        demand_close(
            f"{what} in deriv", deriv, factor * loss.deriv(data, models), rtol=rtol, atol=atol, at=at
        )
        own = [
            _one_pass(loss, data[k : k + 1], models[k : k + 1], None if w is None else w[k : k + 1])[0]
            for k in range(data.size)
        ]
        demand_close(f"{what} in value", own, values, rtol=rtol, atol=atol, at=at)
    hidden = np.array([np.nan, ones[0]]), np.array([np.nan, 1.0])
    total, deriv = _one_pass(loss, *hidden, np.array([0.0, 1.0]))
    what = f"{loss!r}: an entry of weight 0 adds to the compiled"
    demand_close(f"{what} sum", total, loss.value(ones[0], 1.0), rtol=1e-12)
    demand_close(f"{what} derivative", deriv[0], 0.0, rtol=0.0)


def _check_zeros(loss: Loss, m: FloatArray) -> None:
    if (zero := loss.formula.zero) is not None:
        form = zero[0] * m + zero[1] * m**2
        what = f"{loss!r}: zero_loss {zero} is not f(0, m)"
        demand_close(what, form, loss.value(np.zeros(m.size), m), rtol=1e-9, atol=1e-9, at={"m": m})


def _check_saturated(loss: Loss, x: FloatArray, m: FloatArray) -> None:
    deviance = loss.deviance(x, m)
    demand((deviance >= 0).all(), f"{loss!r}: the deviance is negative at x = {x[np.argmin(deviance)]:g}.")
    low, high = max(loss.model_domain.low, -50.0), min(loss.model_domain.high, 50.0)
    data = _ends(loss.data_domain, (1.0, 2.0, 5.0))
    if np.isinf(loss.data_domain.high):
        data = data[data >= 1]  # next to 0 the shift eps counts, which saturated_value leaves out
    for xi in data:
        found = optimize.minimize_scalar(
            lambda t, xi=xi: float(loss.value(xi, t)),
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-10},
        )
        ends = (low, 1e8 if loss.model_domain.low == 0 else high)
        least = min([float(found.fun)] + [float(loss.value(xi, end)) for end in ends])
        what = f"{loss!r}: saturated_value is not the least value of f(x, .), which a search finds,"
        demand_close(what, loss.saturated_value(xi), least, rtol=1e-7, atol=1e-7, at={"x": xi})
    with np.errstate(all="ignore"):
        best = np.clip(loss.saturated(data), loss.model_domain.low, 700.0)
    best = np.maximum(best, -700.0)
    slope = loss.deriv(data, best)
    pushes = (best <= loss.model_domain.low) & (slope > 0)  # against the end of the domain
    what = f"{loss!r}: deriv does not vanish at the saturated model,"
    demand_close(what, np.where(pushes, 0.0, slope), 0.0, rtol=0.0, atol=3e-6, at={"x": data, "m": best})


def _check_likelihood(loss: Loss, x: FloatArray, m: FloatArray) -> None:
    try:
        constant = loss.log_likelihood(x, m) + loss.value(x, m)
    except ParameterError:  # it is none
        return
    other = m[::-1]
    again = loss.log_likelihood(x, other) + loss.value(x, other)
    what = f"{loss!r}: log_likelihood + value changes with m"
    demand_close(what, again, constant, rtol=1e-9, atol=1e-9, at={"x": x, "m": other})


def _check_sample(loss: Loss, seed: int) -> None:
    m = np.full((_N_DRAWS // 4, 4), 1.7 if loss.model_domain.low == 0 else 0.6)
    try:
        draws, again = (loss.sample(m, np.random.default_rng(seed)) for _ in range(2))
    except ParameterError:  # it is no distribution
        return
    demand(
        np.array_equal(draws, again, equal_nan=True),
        f"{loss!r}: sample gives other data for the same generator.",
    )
    demand(
        draws.shape == m.shape, f"{loss!r}: sample gives shape {draws.shape} for models of shape {m.shape}."
    )
    inside = loss.data_domain.contains(draws)
    demand(
        inside.all(),
        f"{loss!r}: sample gives {draws[~inside][:1]}, outside the data domain {loss.data_domain}.",
    )
    error = 5 * float(draws.std()) / np.sqrt(draws.size)
    expected = float(loss.mean(m[0, 0]))
    what = f"{loss!r}: the mean of {draws.size} samples is not that of the model"
    demand_close(what, draws.mean(), expected, rtol=0.0, atol=error, at={"m": m[0, 0]})


def _check_identity(loss: Loss) -> None:
    twin = type(loss)(**{field.name: getattr(loss, field.name) for field in fields(loss)})  # type: ignore[arg-type]
    demand(loss == twin, f"{loss!r} is not equal to a loss with the same parameters.")
    demand(hash(loss) == hash(twin), f"{loss!r} has not the hash of an equal loss.")
    try:
        loss.eps = 1.0  # type: ignore[attr-defined]
    except AttributeError:
        return
    raise AssertionError(f"{loss!r} can be changed: write @dataclass(frozen=True).")
