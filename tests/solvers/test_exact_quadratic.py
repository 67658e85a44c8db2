"""Rung 3: the minimum of a small quadratic in a box. Truth: SciPy's bounded least squares."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import lsq_linear

from gcp.solvers.pieces.exact_quadratic import ExactQuadratic

SIZE = 12


def model_of(matrix, *rest):
    return ExactQuadratic(matrix, *rest, np.empty((3, *matrix.shape)))


def problem(rng, n=8, least=0.5):
    """A matrix with eigenvalues from `least`, a slope and a box around 0; places of the variables in a vector."""
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    matrix = (q * np.linspace(least, 5.0, n)) @ q.T
    order = rng.permutation(SIZE)[:n]
    slope, low, high = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE)
    slope[order], low[order], high[order] = (
        rng.normal(size=n),
        -rng.uniform(0, 0.3, n),
        rng.uniform(0, 0.3, n),
    )
    return model_of(matrix.copy(), order, np.array([0, 5]), SIZE), matrix, order, slope, low, high


def damped(model, matrix, order, damping):
    return matrix + damping * np.diag(model.diagonal[order])


@pytest.mark.parametrize("nearest", [1.0, 1e-9], ids=["", "variables close to their bounds"])
@pytest.mark.parametrize("seed", range(20))
def test_minimum_in_a_box(seed, nearest):
    rng = np.random.default_rng(seed)
    model, matrix, order, slope, low, high = problem(rng)
    low, high = low * nearest ** rng.random(SIZE), high * nearest ** rng.random(SIZE)
    step, value = model.minimize(slope, low, high, 0.1, bounded=True)
    full = damped(model, matrix, order, 0.1)
    root = np.linalg.cholesky(full).T
    truth = lsq_linear(
        root, -np.linalg.solve(root.T, slope[order]), (low[order] - 1e-12, high[order] + 1e-12)
    )
    least = slope[order] @ truth.x + 0.5 * truth.x @ full @ truth.x
    assert np.all((step >= low) & (step <= high))
    assert_allclose(value, slope[order] @ step[order] + 0.5 * step[order] @ full @ step[order])
    assert least - 1e-6 * abs(least) <= value <= 0.98 * least


@pytest.mark.parametrize("seed", range(10))
def test_bounds_close_by_do_not_stop_strongly_coupled_variables(seed):
    """Newton steps alone, cut at the bounds, found no decrease at all there (fits ended far from the minimum)."""
    rng = np.random.default_rng(seed)
    root = rng.uniform(0.0, 1.0, (45, 40)) * 10.0 ** rng.uniform(-1.5, 1.5, 40)
    matrix, slope = root.T @ root, root.T @ rng.normal(size=45)
    model = model_of(matrix.copy(), np.arange(40), np.array([0]), 40)
    low, high = -(10.0 ** rng.uniform(-9.0, 0.0, 40)), np.full(40, 10.0)
    step, value = model.minimize(slope, low, high, 1e-6, bounded=True)
    truth = lsq_linear(root, np.linalg.lstsq(root.T, -slope)[0], (low, high), tol=1e-14).x
    least = slope @ truth + 0.5 * truth @ matrix @ truth
    assert np.all((step >= low) & (step <= high))
    assert value <= 0.9 * least


def test_minimum_without_bounds(rng):
    model, matrix, order, slope, low, high = problem(rng)
    step, value = model.minimize(slope, low, high, 0.3, bounded=False)
    truth = np.linalg.solve(damped(model, matrix, order, 0.3), -slope[order])
    assert_allclose(step[order], truth)
    assert np.count_nonzero(step) == len(order)
    assert_allclose(value, 0.5 * slope[order] @ truth)


@pytest.mark.parametrize("bounded", [False, True])
def test_an_indefinite_matrix_has_no_minimum_until_it_is_damped(bounded, rng):
    model, _, _, slope, *_ = problem(rng, least=-1.0)
    low, high = np.full(SIZE, -1e3), np.full(SIZE, 1e3)
    assert model.minimize(slope, low, high, 0.0, bounded) is None
    assert model.minimize(slope, low, high, 10.0, bounded) is not None


def test_damping_is_never_negligible():
    """A variable that the objective does not see has a part in the damping, so that there is a minimum."""
    model = model_of(np.diag([0.0, 1.0, -2.0]), np.arange(3), np.array([0]), 3)
    assert_allclose(model.diagonal, [1e-3, 1.0, 2.0])
    nothing = model_of(np.zeros((2, 2)), np.arange(2), np.array([0]), 2)
    assert np.all(nothing.diagonal > 0)
