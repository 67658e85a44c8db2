"""Rung 3: the minimum of a small quadratic in a box. Truth: SciPy's bounded least squares."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import lsq_linear

from gcp.solvers.pieces.exact_quadratic import ExactQuadratic

SIZE = 12


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
    return ExactQuadratic(matrix.copy(), order, np.array([0, 5]), SIZE), matrix, order, slope, low, high


def damped(model, matrix, order, damping):
    return matrix + damping * np.diag(model.diagonal[order])


@pytest.mark.parametrize("seed", range(20))
def test_minimum_in_a_box(seed):
    model, matrix, order, slope, low, high = problem(np.random.default_rng(seed))
    step, value = model.minimize(slope, low, high, 0.1, bounded=True)
    full = damped(model, matrix, order, 0.1)
    root = np.linalg.cholesky(full).T
    truth = lsq_linear(
        root, -np.linalg.solve(root.T, slope[order]), (low[order] - 1e-12, high[order] + 1e-12)
    )
    least = slope[order] @ truth.x + 0.5 * truth.x @ full @ truth.x
    assert np.all((step >= low) & (step <= high))
    assert_allclose(value, slope[order] @ step[order] + 0.5 * step[order] @ full @ step[order])
    assert least - 1e-9 <= value <= 0.98 * least


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
    model = ExactQuadratic(np.diag([0.0, 1.0, -2.0]), np.arange(3), np.array([0]), 3)
    assert_allclose(model.diagonal, [1e-3, 1.0, 2.0])
    nothing = ExactQuadratic(np.zeros((2, 2)), np.arange(2), np.array([0]), 2)
    assert np.all(nothing.diagonal > 0)
