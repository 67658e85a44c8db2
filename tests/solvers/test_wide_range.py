"""Rung 5: data over many powers of ten. Truths: models of rank 1, which are convex in logarithms; exact data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import (
    BetaDivergence,
    Gamma,
    NegativeBinomial,
    ObservedTensor,
    Poisson,
    Rayleigh,
    RowNewton,
    build_objective,
    fit_gcp,
)
from gcp.kernels.dense import slices
from gcp.objectives.bounds import Bounds
from gcp.solvers.starts.initial import random_factors

SHAPE = (7, 6, 5)
LOSSES = (Poisson(), NegativeBinomial(r=2.0), Gamma(), Rayleigh())


def least(loss, x):
    """The minimum of F over models of rank 1, whose logarithms are sums of one number for each position.

    Of Poisson's, the product of the margins; of the others by Newton's method.
    """
    if isinstance(loss, Poisson):
        margins = [x.sum(axis=tuple(k for k in range(x.ndim) if k != n)) for n in range(x.ndim)]
        return float(loss.value(x, np.einsum("i,j,k->ijk", *margins) / x.sum() ** 2).sum())
    where = np.indices(x.shape).reshape(x.ndim, -1)
    design = np.hstack([np.eye(n)[rows] for n, rows in zip(x.shape, where, strict=True)])
    x = x.ravel()
    z = np.linalg.lstsq(design, np.log(np.maximum(x, 0.5)), rcond=None)[0]

    def value(z):
        return float(loss.value(x, np.exp(np.clip(design @ z, -100, 100))).sum())

    for _ in range(500):
        m = np.exp(design @ z)
        slope = loss.deriv(x, m) * m
        bend = loss.curvature(x, m) * m * m + slope
        step = np.linalg.lstsq(design.T @ (bend[:, None] * design), design.T @ slope, rcond=1e-14)[0]
        length = min(1.0, 2.0 / np.abs(design @ step).max(initial=1e-300))
        while value(z - length * step) > value(z) and length > 1e-12:
            length /= 2
        z = z - length * step
        if np.abs(design @ step).max() < 1e-10:
            break
    return value(z)


def draw(loss, m, rng):
    """Data about m, counts above 0 so that the minimum has finite logarithms."""
    return np.maximum(loss.sample(m, rng), 1.0) if loss.data_domain.integer else loss.sample(m, rng)


@pytest.mark.parametrize("kind", ["one value of 1e9", "a mode over 8 powers of ten"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_the_default_ends_in_the_minimum(loss, kind):
    rng = np.random.default_rng(0)
    factors = [rng.gamma(2.0, 1.0, n) for n in SHAPE]
    if kind.startswith("a mode"):
        factors[0] = factors[0] * np.logspace(0, 8, SHAPE[0])
    x = draw(loss, np.multiply.outer(np.multiply.outer(*factors[:2]), factors[2]) + 1.0, rng)
    if kind.startswith("one"):
        x[0, 0, 0] = 1e9
    result = fit_gcp(x, 1, loss=loss, random_state=0)
    excess = result.objective - result.saturated_objective
    assert result.objective - least(loss, x) <= 1e-5 * excess


@pytest.mark.parametrize("loss", [Gamma(), Rayleigh()], ids=lambda loss: loss.name)
def test_eps_follows_the_least_of_the_data(loss):
    """Exact data over 16 powers of ten: their saturated model is one of rank 1."""
    rng = np.random.default_rng(1)
    a, b, c = (rng.uniform(1.0, 2.0, n) for n in SHAPE)
    x = np.einsum("i,j,k->ijk", a * np.logspace(-16, 0, SHAPE[0]), b, c)
    result = fit_gcp(x, 1, loss=loss, random_state=0)
    assert_allclose(result.model_values(), loss.saturated(x), rtol=1e-3)


def test_eps_stays_as_it_was_where_data_are_of_one_scale():
    assert build_objective(np.full((3, 3), 5.0), "gamma").loss.eps == pytest.approx(5e-10)
    assert build_objective(np.array([[1e-9, 2.0], [3.0, 4.0]]), "gamma").loss.eps == pytest.approx(1e-13)
    tiny = build_objective(np.array([[1e-30, 2.0], [3.0, 4.0]], np.float32), "gamma").loss.eps
    assert np.isfinite(np.float32(1.0) / np.float32(tiny) ** 2)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_what_is_as_good_as_zero_is_no_trap(beta):
    """One datum of 1e-300 made eps so small that models near 0 under it had slopes of 1e60, and stayed there."""
    rng = np.random.default_rng(3)
    x = np.einsum("i,j,k->ijk", *(rng.gamma(0.3, 1.0, n) for n in SHAPE)) * rng.gamma(1.0, 1.0, SHAPE)
    x = np.maximum(x, 1e-9)
    ends = []
    for least in (0.0, 1e-300):
        x[0, 0, 0] = least
        data = ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE)
        result = fit_gcp(data, 1, loss=BetaDivergence(beta), random_state=0)
        assert result.converged
        assert result.projected_gradient_norm < 1e-3
        ends.append(result.objective - result.saturated_objective)
    assert_allclose(ends[1], ends[0], rtol=1e-4)  # eps itself, at entries that the model leaves at 0


@pytest.mark.parametrize("loss", ["gaussian", "poisson"])
@pytest.mark.parametrize("missing", [False, True])
def test_rows_of_dense_data_are_those_of_the_list(loss, missing, monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.poisson(3.0, SHAPE).astype(float)
    known = rng.random(SHAPE) < 0.7 if missing else np.ones(SHAPE, bool)
    x[~known] = np.nan
    weights = rng.integers(1, 3, SHAPE)
    listed = ObservedTensor(np.argwhere(known), x[known], SHAPE, weights[known])
    solver = RowNewton(n_iter_max=6)
    one = fit_gcp(listed, 2, loss=loss, solver=solver, random_state=0)
    for entries in (1, 70, 1 << 19):  # slices one by one, two or three at a time, and all
        monkeypatch.setattr(slices, "_ENTRIES", entries)
        other = fit_gcp(x, 2, loss=loss, solver=solver, random_state=0, entry_weights=weights)
        assert_allclose(other.model_values(), one.model_values(), rtol=1e-9)
        assert_allclose(other.objective, one.objective, rtol=1e-12)


def test_slices_that_are_too_large_are_not_listed():
    assert slices.fits((1000, 1000, 1000))
    assert not slices.fits((3, 10_000, 10_000))


def test_slow_fits_go_on_by_rows():
    m = 3.0 * np.logspace(0, 6, 8)[:, None, None]
    x = np.random.default_rng(0).poisson(m, (8, 7, 6)).astype(float)
    result = fit_gcp(x, 2, loss="poisson", random_state=6)  # 850 to 950 iterations without rows
    assert result.settings["solver"]["method"] == "PreconditionedLBFGS, then RowNewton"
    assert result.converged
    assert result.n_iter < 700
    assert len(result.trace["objective"]) == result.n_iter + 1


def test_fits_that_run_off_to_infinity_say_so():
    x = np.kron(np.eye(2), np.ones((3, 3)))  # separable: no finite minimum
    result = fit_gcp(x, 2, loss="bernoulli-logit", random_state=0, solver=RowNewton(9, 0.0, 0.0))
    assert result.status == "separable"
    assert "l2_reg gives a finite model" in result.message
    kept = fit_gcp(x, 2, loss="bernoulli-logit", random_state=0, l2_reg=0.1)
    assert kept.converged
    assert "l2_reg" not in kept.message


RELATIVE = (Gamma(), Rayleigh(), BetaDivergence(0.0))


def in_other_units(x, kind):
    """Data, and the same with a slice in a millionth of their unit and one in a thousand of it."""
    y = x.copy()
    y[3] *= 1e6
    y[:, 2] *= 1e-3
    if kind == "dense":
        return x, y
    known = np.random.default_rng(5).random(x.shape) < 0.8
    if kind == "missing":
        return np.where(known, x, np.nan), np.where(known, y, np.nan)
    return tuple(ObservedTensor(np.argwhere(known), z[known], z.shape) for z in (x, y))


@pytest.mark.parametrize(
    ("loss", "kind"),  # starts differ by kinds of data, units by losses
    [*((loss, "dense") for loss in RELATIVE), (Gamma(), "missing"), (Gamma(), "listed")],
    ids=lambda value: getattr(value, "name", value),
)
def test_slices_may_have_units_of_their_own_where_a_loss_knows_no_scale(loss, kind):
    rng = np.random.default_rng(0)
    a = [rng.uniform(0.5, 2.0, (n, 2)) for n in SHAPE]
    x = Gamma().sample(np.einsum("ir,jr,kr->ijk", *a), rng)
    data = in_other_units(x, kind)
    free = (np.full((n, 2), 0.0) for n in SHAPE), (np.full((n, 2), np.inf) for n in SHAPE)
    bounds = Bounds(*(tuple(side) for side in free))
    one, other = (random_factors(build_objective(z, loss), 2, bounds, np.random.default_rng(3)) for z in data)
    model, turned = (np.einsum("ir,jr,kr->ijk", *factors) for factors in (one, other))
    turned[3] /= 1e6
    turned[:, 2] /= 1e-3
    assert_allclose(turned, model, rtol=1e-6)
    ends = [fit_gcp(z, 1, loss=loss, random_state=0) for z in data]
    excess = [end.objective - end.saturated_objective for end in ends]
    assert_allclose(excess[1], excess[0], rtol=1e-5)
    more = fit_gcp(data[1], 2, loss=loss, random_state=0)  # a component that dies leaves the end of rank 1
    assert more.objective - more.saturated_objective < 0.97 * excess[0]
