"""Checks of penalties."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gcp.base import checks
from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import FactorQuadratic, Penalty
from gcp.testing.agreement import demand, demand_close

_SHAPES = ((6,), (5, 4), (5, 4, 3), (3, 2, 4, 2))
_RANKS = (1, 3)


def check_penalty(penalty: Penalty, shapes: Sequence[Sequence[int]] = _SHAPES, random_state: int = 0) -> None:
    """Check that a penalty is what it says of itself, on random factors, nonnegative ones where it needs these.

    - ``value`` is a finite number, the same for the same factors, and nothing modifies its factors
    - ``add_grad`` against central differences of ``value`` in every entry of every factor; it adds to what it is
      given, and float32 factors get float32 gradients
    - ``quadratic`` of each mode, where there is one, against differences of ``value`` between random factors of that
      mode; its matrix is symmetric and has no negative eigenvalues, its strengths are not negative
    - ``is_row_wise`` only where every mode has a quadratic without a matrix
    - ``has_fixed_strengths`` only where these do not change with the factors
    - ``component_hessian``, where it can be asked for (by default that of ``hessian``), against differences of the
      gradient in every entry
    - ``ridge``, where it is not 0, times the factor against the gradient
    - ``curvature`` against the mean of second differences of ``value``, for those that are quadratic in each factor
    - ``of_new_rows``: the gradient of its ridge against differences of its values
    - ``price`` is not negative, has one number per component, and is 0 for components of 0
    - ``prefers_balance``: of factors whose columns are scaled against each other, those of equal norms cost least
    - ``needs_nonnegative`` is False only if factors of both signs have a finite value
    - equal parameters make equal penalties

    Parameters
    ----------
    penalty : Penalty
    shapes : sequence of sequences of int
        Sizes of the modes to try; give your own where the penalty is of a mode of a certain size.
    random_state : int
        Decides the factors.

    Raises
    ------
    AssertionError
        A sentence that says which property fails, and at which shape and mode.

    Examples
    --------
    >>> import gcp
    >>> gcp.testing.check_penalty(gcp.penalties.Ridge(None, 0.3))
    """
    checks.instance("penalty", penalty, Penalty, "a Penalty")  # type: ignore[type-abstract]
    rng = np.random.default_rng(checks.seed(random_state))
    for shape in shapes:
        for rank in _RANKS:
            signs = (False,) if penalty.needs_nonnegative else (True, False)
            for has_signs in signs:
                factors = [rng.uniform(0.2, 1.5, (size, rank)) for size in shape]
                if has_signs:
                    factors = [a * rng.choice([-1.0, 1.0], a.shape) for a in factors]
                before = [a.copy() for a in factors]
                for check in (
                    _check_value,
                    _check_gradient,
                    _check_quadratic,
                    _check_hessian,
                    _check_ridge,
                    _check_curvature,
                    _check_new_rows,
                    _check_price,
                    _check_balance,
                ):
                    check(
                        penalty,
                        factors,
                        f"{penalty!r} of factors of shape {tuple(shape)} and rank {rank}",
                        rng,
                    )
                    is_unchanged = all(np.array_equal(a, b) for a, b in zip(factors, before, strict=True))
                    demand(is_unchanged, f"{penalty!r} modifies its factors.")


def _gradient(penalty: Penalty, factors: Factors) -> list[FloatArray]:
    grad = [np.zeros_like(a) for a in factors]
    penalty.add_grad(factors, grad)
    return grad


def _with_factor(factors: Factors, mode: int, a: FloatArray) -> list[FloatArray]:
    return [a if n == mode else b for n, b in enumerate(factors)]


def _numeric(function: Callable[[FloatArray], float], at: FloatArray) -> FloatArray:
    """Return fourth-order central differences of a function of an array in each of its numbers, in its shape."""
    found, h = np.empty(at.shape), 1e-3
    for index in np.ndindex(*at.shape):

        def along(step: float, index: tuple[int, ...] = index) -> float:
            moved = at.copy()
            moved[index] += step
            return function(moved)

        found[index] = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    return found


def _check_value(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    value = penalty.value(factors)
    hint = "" if penalty.needs_nonnegative else " Is it for nonnegative factors alone (needs_nonnegative)?"
    demand(
        np.ndim(value) == 0 and np.isfinite(value),
        f"{what}: value must be finite: found {value!r}.{hint}",
    )
    demand(penalty.value(factors) == value, f"{what}: value is another at the second call.")


def _check_gradient(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    own = _gradient(penalty, factors)
    size = max(1.0, abs(penalty.value(factors)))
    for mode, a in enumerate(factors):
        numeric = _numeric(lambda b, n=mode: penalty.value(_with_factor(factors, n, b)), a)  # type: ignore[misc]
        demand_close(
            f"{what}: add_grad of mode {mode} is not the derivative of value",
            own[mode],
            numeric,
            rtol=1e-6,
            atol=1e-9 * size,
        )
    more = [np.ones_like(a) for a in factors]
    penalty.add_grad(factors, more)
    for mode, (g, h) in enumerate(zip(more, own, strict=True)):
        demand_close(
            f"{what}: add_grad does not add to the gradient of mode {mode}", g - 1, h, rtol=1e-9, atol=1e-9
        )
    single = [a.astype(np.float32) for a in factors]
    grad = [np.zeros_like(a) for a in single]
    penalty.add_grad(single, grad)
    for mode, (g, h) in enumerate(zip(grad, own, strict=True)):
        demand(
            g.dtype == np.float32, f"{what}: add_grad makes a gradient of type {g.dtype} of one of float32."
        )
        scale = float(np.abs(h).max(initial=0.0))
        demand_close(f"{what}: add_grad of mode {mode} in float32", g, h, rtol=1e-4, atol=1e-4 * scale)


def _check_hessian(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    if not penalty.has_hessian:
        return
    rank, ends = factors[0].shape[1], np.cumsum([0, *map(len, factors)])
    whole = penalty.component_hessian(factors)
    demand(
        np.shape(whole) == (rank, ends[-1], ends[-1]),
        f"{what}: component_hessian has shape {np.shape(whole)}, not {(rank, ends[-1], ends[-1])}.",
    )
    for mode, a in enumerate(factors):
        for i, r in np.ndindex(*a.shape):
            unit = np.zeros_like(a)
            unit[i, r] = 1e-5
            sides = [_gradient(penalty, _with_factor(factors, mode, a + sign * unit)) for sign in (1.0, -1.0)]
            numeric = [(up - down) / 2e-5 for up, down in zip(*sides, strict=True)]
            scale = max(1.0, *(float(np.abs(b).max(initial=0.0)) for b in numeric))
            for other, known in enumerate(numeric):
                found = np.zeros_like(known)
                found[:, r] = whole[r, ends[mode] + i, ends[other] : ends[other + 1]]
                name = f"{what}: hessian of mode {mode} is not the derivative of the gradient of mode {other}"
                demand_close(name, found, known, rtol=1e-5, atol=1e-6 * scale)


def _of_quadratic(own: FactorQuadratic, a: FloatArray) -> float:
    away = a if own.centre is None else a - own.centre
    times = away if own.matrix is None else own.matrix @ away
    return 0.5 * float(np.sum(own.strengths * np.sum(away * times, axis=0)))


def _check_quadratic(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    for mode, a in enumerate(factors):
        own = penalty.quadratic(mode, factors)
        if own is None:
            demand(not penalty.is_row_wise, f"{what}: is_row_wise, but mode {mode} has no quadratic.")
            continue
        demand(
            np.shape(own.strengths) == (a.shape[1],),
            f"{what}: strengths of mode {mode} have shape {np.shape(own.strengths)}, not {(a.shape[1],)}.",
        )
        other = penalty.quadratic(mode, [2.0 * b for b in factors])
        demand(
            not penalty.has_fixed_strengths
            or (other is not None and np.array_equal(own.strengths, other.strengths)),
            f"{what}: has_fixed_strengths, but those of mode {mode} are others for other factors.",
        )
        demand((own.strengths >= 0).all(), f"{what}: strengths of mode {mode} are negative: {own.strengths}.")
        if own.matrix is not None:
            demand(
                not penalty.is_row_wise,
                f"{what}: is_row_wise, but the quadratic of mode {mode} has a matrix.",
            )
            dense = own.matrix @ np.eye(a.shape[0])
            demand_close(
                f"{what}: the matrix of mode {mode} is not symmetric", dense, dense.T, rtol=1e-12, atol=1e-12
            )
            least = float(np.linalg.eigvalsh(dense).min())
            demand(
                least >= -1e-10 * max(1.0, float(np.abs(dense).max())),
                f"{what}: the matrix of mode {mode} has an eigenvalue of {least:g}; none may be negative.",
            )
        for _ in range(3):
            b = (
                np.abs(a + rng.normal(size=a.shape))
                if penalty.needs_nonnegative
                else a + rng.normal(size=a.shape)
            )
            value = penalty.value(_with_factor(factors, mode, b)) - penalty.value(factors)
            expected = _of_quadratic(own, b) - _of_quadratic(own, a)
            scale = max(abs(expected), abs(penalty.value(factors)), 1.0)
            demand_close(
                f"{what}: value does not change with the factor of mode {mode} as its quadratic does",
                expected,
                value,
                rtol=0.0,
                atol=1e-9 * scale,
            )


def _check_ridge(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    grad = _gradient(penalty, factors)
    for mode, a in enumerate(factors):
        strengths = penalty.ridge(mode, factors)
        demand(
            np.shape(strengths) == (a.shape[1],),
            f"{what}: ridge of mode {mode} has shape {np.shape(strengths)}, not {(a.shape[1],)}.",
        )
        if np.any(strengths):
            name = f"{what}: ridge of mode {mode}, times the factor, is not the gradient"
            demand_close(name, strengths * a, grad[mode], rtol=1e-9, atol=1e-9)


def _check_curvature(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    found = penalty.curvature(factors)
    demand(
        np.shape(found) == (len(factors),) and np.isfinite(found).all(),
        f"{what}: curvature must be one finite number per mode: found {found!r}.",
    )
    for mode, a in enumerate(factors):
        if penalty.quadratic(mode, factors) is None:
            continue
        value, h, second = penalty.value(factors), 0.1, []
        for index in np.ndindex(*a.shape):
            step = np.zeros(a.shape)
            step[index] = h
            ends = [penalty.value(_with_factor(factors, mode, a + sign * step)) for sign in (1, -1)]
            second.append((ends[0] - 2 * value + ends[1]) / h**2)
        name = f"{what}: curvature of mode {mode} is not the mean second difference of value"
        demand_close(name, found[mode], np.mean(second), rtol=1e-6, atol=1e-9 * max(1.0, abs(value)) / h**2)


def _check_new_rows(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    for mode, a in enumerate(factors):
        rows = rng.uniform(0.2, 1.5, (2, a.shape[1]))
        part = penalty.of_new_rows(mode, factors, rows)
        demand(
            np.shape(part.values) == (2,),
            f"{what}: of_new_rows of two rows of mode {mode} has values of shape {np.shape(part.values)}, not (2,).",
        )
        numeric = _numeric(lambda b, n=mode: float(penalty.of_new_rows(n, factors, b).values.sum()), rows)  # type: ignore[misc]
        name = f"{what}: of_new_rows of mode {mode} has a ridge whose gradient is not that of its values"
        demand_close(name, part.strengths * (rows - part.centres), numeric, rtol=1e-6, atol=1e-8)


def _check_price(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    rank = factors[0].shape[1]
    price = penalty.price(factors)
    demand(
        np.shape(price) == (rank,) and np.all(price >= 0),
        f"{what}: price must be one number from 0 per component: found {price!r}.",
    )
    less = penalty.price([a * (np.arange(rank) > 0) for a in factors])
    demand(less[0] == 0, f"{what}: price of a component of 0 is {less[0]:g}, not 0.")


def _check_balance(penalty: Penalty, factors: Factors, what: str, rng: np.random.Generator) -> None:
    if not penalty.prefers_balance or len(factors) == 1:
        return
    norms = [np.linalg.norm(a, axis=0) for a in factors]
    common = np.prod(norms, axis=0) ** (1 / len(factors))
    even = [a / norm * common for a, norm in zip(factors, norms, strict=True)]
    for scale in (0.5, 0.9, 1.1, 2.0):
        odd = [even[0] * scale, even[1] / scale, *even[2:]]
        demand(
            penalty.value(odd) >= penalty.value(even),
            f"{what}: prefers_balance, but an equal model with columns {scale:g} times as long in mode 0, and "
            "so much shorter in mode 1, costs less.",
        )
    gone = penalty.value([0.0 * a for a in even])
    demand(gone <= 1e-12, f"{what}: prefers_balance, but components of 0 cost {gone:g}.")
