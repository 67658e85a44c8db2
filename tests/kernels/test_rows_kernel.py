"""Rung 2: Newton steps for rows. Truths: least squares by NumPy, minimisers by SciPy, the quadratic model by hand."""

import numpy as np
import pytest
from helpers import LOSSES, full, interior_points, random_factors, short
from numpy.testing import assert_allclose
from scipy.optimize import nnls

from gcp import Gaussian, ObservedTensor, Poisson, SparseTensor, build_objective
from gcp.kernels.listed import row_algebra, row_objective

NO_BOUND = np.full((1, 3), -np.inf), np.full((1, 3), np.inf)


def observed(data, share, rng):
    known = rng.random(data.shape) < share
    known[0] = True
    return ObservedTensor(np.argwhere(known), data[known], data.shape), known


@pytest.mark.parametrize("shape", [(25, 50), (5, 8, 9), (4, 5, 6, 7), (3, 30, 50)], ids=str)
@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_a_gaussian_step_solves_every_row_by_least_squares(shape, ridge, rng):
    data = rng.normal(size=shape)
    tensor, known = observed(data, 0.7, rng)
    problem = build_objective(tensor, "gaussian", l2_reg=ridge).row_wise()
    for mode in range(len(shape)):
        factors = random_factors(shape, 3, rng)
        before = [a.copy() for a in factors]
        value, _ = problem.update(mode, factors, *NO_BOUND, 1.0)
        for i in range(shape[mode]):
            cells = np.argwhere(np.take(known, i, axis=mode))
            others = [before[n] for n in range(len(shape)) if n != mode]
            z = np.prod([a[cells[:, k]] for k, a in enumerate(others)], axis=0)
            x = np.take(data, i, axis=mode)[tuple(cells.T)]
            truth = np.linalg.solve(2 * z.T @ z + ridge * np.eye(3), 2 * z.T @ x)
            assert_allclose(factors[mode][i], truth, rtol=1e-6, atol=1e-7)
        expected = np.sum((data - full(factors))[known] ** 2) + ridge / 2 * sum(np.sum(a**2) for a in factors)
        assert_allclose(value, expected, rtol=1e-10)
        assert all(
            np.array_equal(a, b) for n, (a, b) in enumerate(zip(factors, before, strict=True)) if n != mode
        )


def test_sparse_and_observed_rows_agree_where_all_cells_are_listed(rng):
    shape = (5, 6, 7)
    data = rng.poisson(1.0, shape).astype(float)
    sparse = SparseTensor(np.argwhere(data), data[data > 0], shape)
    everything = ObservedTensor(np.argwhere(np.ones(shape)), data.ravel(), shape)
    for loss in ("gaussian", "poisson"):
        updates = []
        for tensor in (sparse, everything):
            factors = [a.copy() for a in random_factors(shape, 3, np.random.default_rng(0), positive=True)]
            problem = build_objective(tensor, loss).row_wise()
            value, slope = problem.update(1, factors, np.zeros((1, 3)), np.full((1, 3), np.inf), 1e-3)
            updates.append((value, slope, factors[1]))
        assert_allclose(updates[0][0], updates[1][0], rtol=1e-10)
        assert_allclose(updates[0][1], updates[1][1], rtol=1e-8)
        assert_allclose(updates[0][2], updates[1][2], rtol=1e-6, atol=1e-9)


def test_bounded_least_squares_reaches_nnls(rng):
    # many steps on one mode alone: a convex problem in each row, solved by SciPy's active-set method
    shape = (4, 60)
    data = rng.normal(size=shape)
    tensor, known = observed(data, 0.8, rng)
    factors = [np.full((4, 3), 0.5), rng.normal(size=(60, 3))]
    problem = build_objective(tensor, "gaussian").row_wise()
    for _ in range(30):
        problem.update(0, factors, np.zeros((1, 3)), np.full((1, 3), np.inf), 1.0)
    for i in range(4):
        truth, _ = nnls(factors[1][known[i]], data[i, known[i]])
        assert_allclose(factors[0][i], truth, rtol=1e-6, atol=1e-8)
    assert (factors[0] == 0).any()


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_a_step_never_raises_the_objective_and_keeps_the_bounds(loss, rng):
    shape = (9, 8, 7)
    data = interior_points(loss, int(np.prod(shape)), rng)[0].reshape(shape)
    tensor, _ = observed(data, 0.5, rng)
    objective = build_objective(tensor, loss, l2_reg=0.01)
    problem = objective.row_wise()
    positive = loss.model_domain.low == 0
    factors = random_factors(shape, 3, rng, positive=positive)
    lower, upper = np.full((1, 3), 0.0 if positive else -1.2), np.full((1, 3), 1.6)
    factors = [np.clip(a, lower, upper) for a in factors]
    value = objective.value_and_grad(factors)[0]
    for _ in range(4):
        for mode in range(3):
            found, _ = problem.update(mode, factors, lower, upper, 1.0)
            assert found <= value + 1e-9 * abs(value)
            assert_allclose(found, objective.value_and_grad(factors)[0], rtol=1e-9)
            assert (factors[mode] >= lower).all()
            assert (factors[mode] <= upper).all()
            value = found


def test_the_outcome_does_not_depend_on_the_number_of_threads(rng):
    shape = (300, 40, 20)
    data = rng.poisson(2.0, shape).astype(float)
    tensor, _ = observed(data, 0.3, rng)
    found = []
    for n_threads in (1, 2, 5):
        factors = random_factors(shape, 4, np.random.default_rng(1), positive=True)
        problem = build_objective(tensor, "poisson", n_threads=n_threads).row_wise()
        value, slope = problem.update(0, factors, np.zeros((1, 4)), np.full((1, 4), np.inf), 1e-3)
        found.append((factors[0], value, slope))
    for a, value, slope in found[1:]:
        assert np.array_equal(a, found[0][0])
        assert_allclose([value, slope], found[0][1:], rtol=1e-12)


def test_long_slices_are_read_anew_and_give_the_same(rng):
    shape = (2, 40, 60)  # 2400 entries in a slice
    data = rng.poisson(2.0, shape).astype(float)
    tensor = ObservedTensor(np.argwhere(np.ones(shape)), data.ravel(), shape)
    factors = random_factors(shape, 3, rng, positive=True)
    cells = np.argwhere(np.ones(shape[1:]))
    z = factors[1][cells[:, 0]] * factors[2][cells[:, 1]]
    problem = build_objective(tensor, "poisson").row_wise()
    assert all(np.diff(group.first).min() > row_objective.HELD for _, group in problem.groups(0))
    for _ in range(25):
        problem.update(0, factors, np.zeros((1, 3)), np.full((1, 3), np.inf), 1.0)
    for i in range(2):  # stationary: sum of z (1 - x / m) vanishes where a > 0
        gradient = z.T @ (1 - data[i].ravel() / (z @ factors[0][i]))
        assert np.all(np.abs(gradient[factors[0][i] > 0]) < 1e-6 * len(z))
        assert np.all(gradient[factors[0][i] == 0] > -1e-6)


def test_empty_slices_go_where_the_ridge_or_the_zeros_send_them(rng):
    shape = (4, 5)
    tensor = SparseTensor([[0, 1], [2, 3]], [3, 4], shape)
    factors = random_factors(shape, 3, rng, positive=True)
    build_objective(tensor, "poisson").row_wise().update(
        0, factors, np.zeros((1, 3)), np.full((1, 3), np.inf), 1.0
    )
    assert (factors[0][[1, 3]] == 0).all()  # nothing happened there: the best rate is 0
    known = ObservedTensor([[0, 1], [2, 3]], [3, 4], shape)
    factors = random_factors(shape, 3, rng)
    before = factors[0].copy()
    build_objective(known, "gaussian").row_wise().update(0, factors, *NO_BOUND, 1.0)
    assert np.array_equal(factors[0][[1, 3]], before[[1, 3]])  # nothing is known there: nothing moves
    build_objective(known, "gaussian", l2_reg=1.0).row_wise().update(0, factors, *NO_BOUND, 1.0)
    assert_allclose(factors[0][[1, 3]], 0, atol=1e-8)


@pytest.mark.parametrize("width", [4, 8, 12, 20])
@pytest.mark.parametrize("n", [1, 3, 255])
def test_gram_sums_and_solutions_are_numpys(width, n, rng):
    products, u = rng.normal(size=(n, width)), rng.uniform(0.5, 2.0, n)
    h = np.zeros(width * width)
    row_algebra.add_gram(products.ravel(), np.empty(n * width), n, width, u, h)
    truth = products.T @ (u[:, None] * products)
    lower = np.tril_indices(width)
    assert_allclose(h.reshape(width, width)[lower], truth[lower], rtol=1e-11, atol=1e-11)
    matrix, right = truth + width * np.eye(width), rng.normal(size=width)
    flat, scratch, d = matrix.ravel().copy(), np.empty(width**2), np.zeros(width)
    inf = np.full(width, np.inf)
    row_algebra.newton_direction(flat, scratch, right, d, np.ones(width), -inf, inf, width, 0.0)
    assert_allclose(d, np.linalg.solve(matrix, right), rtol=1e-9)
    assert np.array_equal(flat, matrix.ravel())


def test_losses_of_rows_keep_their_own_eps(rng):
    # softer losses for the first sweeps are the same loss with a larger eps
    data = rng.poisson(2.0, (6, 7)).astype(float)
    objective = build_objective(SparseTensor(np.argwhere(data), data[data > 0], data.shape), Poisson())
    problem = objective.row_wise()
    scale = objective.loss.eps / 1e-10
    assert_allclose([f.params[0] for f in problem.softer], [0.1 * 0.5**k * scale for k in range(10)])
    assert build_objective(ObservedTensor([[0, 0]], [1.0], (1, 2)), Gaussian()).row_wise().softer == ()


def test_rows_of_one_entry_move_too():
    # one event leaves a plane of directions open, in which undamped steps are far too long: in no more than a few
    # sweeps such a row must reach its minimum, where c'a = 1 and only components of the least cost are left
    tensor = SparseTensor([[0, 0, 0], [1, 1, 1], [1, 0, 1]], [1, 3, 2], (2, 2, 2))
    factors = [np.array([[0.0, 1e-5, 0.0], [1.0, 2.0, 1.0]]), np.array([[0.0, 0.6, 0.45], [0.3, 0.1, 0.2]])]
    factors.append(np.array([[0.2, 0.17, 0.15], [0.3, 0.2, 0.4]]))
    problem = build_objective(tensor, "poisson").row_wise()
    for _ in range(40):
        problem.update(0, factors, np.zeros((1, 3)), np.full((1, 3), np.inf), 1.0)
    cost = factors[1].sum(axis=0) * factors[2].sum(axis=0)
    assert_allclose(cost @ factors[0][0], 1.0, rtol=1e-6)
    gain = factors[1][0] * factors[2][0] / cost
    assert_allclose(factors[0][0], np.where(np.arange(3) == gain.argmax(), 1 / cost, 0), atol=1e-6)
