"""Rung 5: the preconditioned method beside L-BFGS-B, and its quadratic model against dense linear algebra."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from helpers import LOSSES, density, full, random_factors, short
from numpy.testing import assert_allclose
from scipy import sparse

import gcp
from gcp import (
    LBFGSB,
    NegativeBinomial,
    PreconditionedLBFGS,
    build_objective,
    custom_loss,
    datasets,
    fit_gcp,
    simulate,
)
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.views.curvature import GaussNewton
from gcp.solvers import run
from gcp.solvers.pieces.bfgs_pairs import Pairs
from gcp.solvers.pieces.blocks import Blocks
from gcp.solvers.pieces.packing import Packing
from gcp.solvers.pieces.quadratic import Quadratic

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=short)
SHAPE = (5, 4, 3)


# --- curvature weights -------------------------------------------------------------------------------------


ROUGH = ("student-t", "zero-inflated", "hurdle")
"""Weights of these are others: a parabola that touches f from above, or the parts of a mixture."""
EXPECTED = [loss for loss in LOSSES if density(loss) is not None and not loss.name.startswith(ROUGH)]


@pytest.mark.parametrize("loss", EXPECTED, ids=short)
@pytest.mark.parametrize("m", [0.3, 1.7])
def test_weights_expect_what_the_second_derivative_does(loss, m):
    distribution = density(loss)(m)
    kwargs = {} if hasattr(distribution, "pmf") else {"limit": 200}

    def expected(function):
        return distribution.expect(lambda x: function(x, m, *loss.params) + 0.0 * x, **kwargs)

    assert_allclose(expected(loss.formula.weight), expected(loss.formula.d2f), rtol=1e-5)


# --- the Gauss-Newton matrix -------------------------------------------------------------------------------


def jacobian(factors):
    """Derivatives of all model entries (rows) in all factor entries (columns), one by one."""
    columns = []
    for mode, a in enumerate(factors):
        for i, r in product(*map(range, a.shape)):
            moved = list(factors)
            moved[mode] = np.zeros_like(a)
            moved[mode][i, r] = 1.0
            columns.append(full(moved).ravel())  # the model is linear in one factor
    return np.array(columns).T


def pad(blocks, vector):
    """Factors one behind the other, row by row, as a padded vector."""
    return blocks.pack(Packing(blocks.shapes).unpack(vector))


def unpad(blocks, padded):
    """The way back."""
    return Packing(blocks.shapes).pack(blocks.unpack(padded))


def dense(curvature, factors):
    """A curvature as a matrix, from its products with all unit vectors."""
    blocks = Blocks.of(factors)
    model = Quadratic(curvature, blocks, np.ones(len(factors)), 1.0)
    size = sum(a.size for a in factors)
    return np.array([unpad(blocks, model.gauss_newton(pad(blocks, e))) for e in np.eye(size)])


def outer_curvature(shape, rng):
    """Entry weights that are an outer product, and their sums over slices."""
    weights = full([rng.uniform(0.5, 2.0, (size, 1)) for size in shape])
    modes = range(len(shape))
    return weights, [weights.sum(axis=tuple(k for k in modes if k != n)) for n in modes]


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("shape", [(4,), (4, 3), SHAPE, (3, 2, 4, 2), (40, 3)])
def test_product_is_that_of_the_gauss_newton_matrix(shape, rank, rng):
    factors = random_factors(shape, rank, rng)
    weights, marginals = outer_curvature(shape, rng)
    j = jacobian(factors)
    expected = j.T @ (weights.ravel()[:, None] * j) + 0.3 * np.eye(j.shape[1])
    assert_allclose(dense(GaussNewton.of(factors, marginals, ridge=0.3), factors), expected, atol=1e-10)


def test_scaled_variables_and_unit(rng):
    factors = random_factors(SHAPE, 2, rng)
    marginals = outer_curvature(SHAPE, rng)[1]
    curvature = GaussNewton.of(factors, marginals, ridge=0.3)
    scale = np.array([0.5, 2.0, 3.0])
    blocks = Blocks.of(factors)
    model = Quadratic(curvature, blocks, scale, 7.0)
    each = np.repeat(scale, [a.size for a in factors])
    expected = each[:, None] * dense(curvature, factors) * each / 7.0
    found = np.array([unpad(blocks, model.gauss_newton(pad(blocks, e))) for e in np.eye(24)])
    assert_allclose(found, expected, atol=1e-10)
    plain = Quadratic(GaussNewton.of(factors, marginals), blocks, scale, 7.0)
    diagonal = [unpad(blocks, plain.gauss_newton(pad(blocks, e))) @ e for e in np.eye(24)]
    assert_allclose(unpad(blocks, plain.diagonal), diagonal)


@pytest.mark.parametrize("loss", ["poisson", "huber", "bernoulli-logit"])
def test_marginals_are_sums_over_slices(loss, rng):
    data, _ = simulate(SHAPE, 2, loss, random_state=0)
    entry_weights = rng.uniform(0, 2, SHAPE) * (rng.random(SHAPE) > 0.2)
    objective = build_objective(data, loss, entry_weights=entry_weights)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    formula = objective.loss.formula
    value, grad, _, marginals = objective.tensor.loss_mttkrps_and_marginals(formula, factors, 1)
    expected = entry_weights * formula.weight(data.values, full(factors), *formula.params)
    for mode, marginal in enumerate(marginals):
        assert_allclose(marginal, expected.sum(axis=tuple({0, 1, 2} - {mode})), rtol=1e-10)
    other, other_grad = objective.value_and_grad(factors)
    assert_allclose(value, other, rtol=1e-12)
    for a, b in zip(grad, other_grad, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("groups", [[(0, 1), (2,)], [(0,), (2,)], [(0, 1)], [(2,)]])
def test_curvature_of_tied_and_fixed_modes(groups, rng):
    data = rng.poisson(2.0, (4, 4, 3))
    factors = random_factors((4, 4, 3), 2, rng, positive=True)
    factors[1] = factors[0]
    objective = build_objective(data, "poisson", l2_reg=0.2)
    free = FreeFactors(objective, Parametrisation(len(factors), groups), factors)
    value, grad, curvature = free.value_grad_and_curvature(free.reduce(factors))
    whole = dense(objective.value_grad_and_curvature(factors)[2], factors)
    mode_of = np.repeat([0, 1, 2], [a.size for a in factors])
    maps = []
    for group in groups:
        size = factors[group[0]].size
        e = np.zeros((mode_of.size, size))
        for n in group:
            e[mode_of == n] += np.eye(size)
        maps.append(e)
    e = np.hstack(maps)
    assert_allclose(dense(curvature, free.reduce(factors)), e.T @ whole @ e, atol=1e-9)
    assert_allclose(value, free.value_and_grad(free.reduce(factors))[0])
    assert len(grad) == len(groups)


# --- the quadratic model -----------------------------------------------------------------------------------


def corrected(model, x):
    """The corrected matrix times a padded vector (n,)."""
    return model.gauss_newton(x) - model.correction_of(x)


DAMPING = 0.5


def model_of(rng):
    factors = random_factors(SHAPE, 2, rng)
    curvature = GaussNewton.of(factors, [np.full(n, 60.0 / n) for n in SHAPE])
    blocks = Blocks.of(factors)
    return Quadratic(curvature, blocks, rng.uniform(0.5, 2.0, 3), 3.0), blocks


def pairs_of(known, capacity=3):
    pairs = Pairs(capacity, len(known[0][0]) if known else 384)
    for step, excess in known:
        pairs.add(step, excess, capacity)
    return pairs


def test_new_pairs_take_the_place_of_the_oldest(rng):
    model, blocks = model_of(rng)
    known = [(pad(blocks, s), pad(blocks, 0.5 * s)) for s in rng.normal(size=(5, 24))]
    model.correct(pairs_of(known), minimize=True)
    found = corrected(model, known[0][0])
    model.correct(pairs_of(known[2:]), minimize=True)
    assert_allclose(corrected(model, known[0][0]), found, rtol=1e-10, atol=1e-12)


def test_padding_is_undone(rng):
    blocks = Blocks(((5, 3), (33, 3), (1, 3)))
    vector = rng.normal(size=39 * 3)
    assert_allclose(unpad(blocks, pad(blocks, vector)), vector, rtol=0)
    assert np.count_nonzero(pad(blocks, vector)) == vector.size


def test_corrected_model_has_the_curvature_of_the_pairs(rng):
    plain, blocks = model_of(np.random.default_rng(5))
    model, _ = model_of(np.random.default_rng(5))
    steps = rng.normal(size=(3, 24))
    spd = (lambda a: a @ a.T)(rng.normal(size=(24, 24)))
    excess = steps @ spd  # so the pairs come from the matrix plain + spd
    known = [(pad(blocks, s), pad(blocks, e)) for s, e in zip(steps, excess, strict=True)]
    model.correct(pairs_of(known), minimize=True)
    matrix = np.array([unpad(blocks, corrected(model, pad(blocks, e))) for e in np.eye(24)])
    assert_allclose(matrix, matrix.T, atol=1e-8)
    assert np.linalg.eigvalsh(matrix).min() > -1e-8
    last = pad(blocks, steps[-1])  # secant equation
    assert_allclose(
        unpad(blocks, corrected(model, last)), unpad(blocks, corrected(plain, last)) + excess[-1], rtol=1e-8
    )


@pytest.mark.parametrize("n_pairs", [0, 3])
@pytest.mark.parametrize("bounded", [True, False])
def test_step_within_a_box_nearly_minimises_the_model(n_pairs, bounded, rng):
    model, blocks = model_of(rng)
    pairs = [[pad(blocks, rng.normal(size=24)) for _ in range(2)] for _ in range(n_pairs)]
    model.correct(pairs_of([(s, 0.5 * s) for s, _ in pairs]), minimize=True)
    matrix = np.array([unpad(blocks, corrected(model, pad(blocks, e))) for e in np.eye(24)])
    matrix += DAMPING * np.diag(unpad(blocks, model.diagonal))
    slope = 5 * rng.normal(size=24)
    low, high = -rng.uniform(0, 0.3, 24), np.full(24, np.inf)
    low[:5] = 0.0
    if not bounded:
        low[:] = -np.inf
    given = (pad(blocks, vector) for vector in (slope, low, high))
    padded, value = model.minimize(*given, DAMPING, bounded)
    step = unpad(blocks, padded)
    assert (step >= low).all()
    assert np.count_nonzero(padded) == np.count_nonzero(step)
    assert_allclose(value, slope @ step + 0.5 * step @ matrix @ step)
    best, steepest = np.zeros(24), np.linalg.norm(matrix, 2)
    for _ in range(20000):  # projected gradient
        best = np.clip(best - (slope + matrix @ best) / steepest, low, high)
    assert value <= 0.95 * (slope @ best + 0.5 * best @ matrix @ best)


# --- whole fits --------------------------------------------------------------------------------------------


def objectives(data, rank, loss, **options):
    solvers = [kind(tol=1e-13, gradient_tol=1e-9, n_iter_max=5000) for kind in (LBFGSB, PreconditionedLBFGS)]
    return [fit_gcp(data, rank, loss=loss, solver=s, random_state=0, **options) for s in solvers]


@every_loss
def test_both_solvers_find_the_same_minimum(loss):
    drawn = "gaussian" if loss.name == "quantile" else loss  # which is no distribution
    data, truth = simulate((9, 8, 7), 2, drawn, scale=2.0, random_state=4)
    data = np.abs(data.values)  # BetaDivergence(2) draws normal data
    one, other = objectives(data, 2, loss, init=truth, l2_reg=0.5)  # a finite minimum for all
    assert other.projected_gradient_norm < 1e-4
    scale = one.null_objective - one.saturated_objective
    assert abs(one.objective - other.objective) <= 1e-6 * scale


@pytest.mark.parametrize(
    "options",
    [
        {"l2_reg": 0.5},
        {"bounds": (0.1, 1.2)},
        {"tied_modes": [(0, 1)]},
        {"fixed_modes": [2]},
        {"tied_modes": [(0, 1)], "fixed_modes": [2], "l2_reg": 0.1},
    ],
    ids=str,
)
def test_options_of_a_fit_work_alike(options):
    data, truth = simulate((8, 8, 7), 2, "poisson", scale=3.0, random_state=5)
    symmetric = [*truth.factors[:1], truth.factors[0], truth.factors[2]]
    init = symmetric if "tied_modes" in options else truth
    if "fixed_modes" in options:
        init = [a + 0.05 for a in (symmetric if "tied_modes" in options else truth.factors)]
    one, other = objectives(data, 2, "poisson", init=init, **options)
    assert_allclose(other.objective, one.objective, rtol=1e-7)


def test_custom_losses_and_float32_fit():
    data = np.random.default_rng(3).normal(size=(8, 7, 6)).astype(np.float32)
    logcosh = custom_loss(lambda x, m: np.log(np.cosh(x - m)), lambda x, m: np.tanh(m - x))
    result = fit_gcp(data, 2, loss=logcosh, solver="plbfgs", random_state=0, n_iter_max=300)
    other = fit_gcp(data, 2, loss=logcosh, solver="lbfgsb", init=result, n_iter_max=300)
    assert_allclose(result.objective, other.objective, rtol=1e-4)


@pytest.mark.parametrize("loss", ["poisson", NegativeBinomial(r=1.0)], ids=["poisson", "negative-binomial"])
@pytest.mark.parametrize("seed", [0, 1])
def test_sparse_counts_do_not_trap_it(loss, seed):
    """Many factor entries end at 0; a plain active set stopped far from a minimum here."""
    data = datasets.load_nyc_flights()
    found = [
        fit_gcp(data, 3, loss=loss, solver=kind(), random_state=seed, **stop)
        for kind, stop in (
            (LBFGSB, {"n_iter_max": 100}),
            (PreconditionedLBFGS, {"n_iter_max": 60}),
        )
    ]
    excess = [f.objective - f.saturated_objective for f in found]
    assert excess[1] < excess[0]


# --- penalties with a matrix along a mode ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Whittaker(gcp.penalties.Penalty):
    """(strength / 2) * sum of squared second differences along the first mode."""

    strength: float

    def value(self, factors):
        return 0.5 * self.strength * float(np.sum(np.diff(factors[0], n=2, axis=0) ** 2))

    def add_grad(self, factors, grad):
        grad[0] += self.strength * (self.matrix(len(factors[0])) @ factors[0])

    def quadratic(self, mode, factors):
        size, rank = factors[mode].shape
        strength = self.strength if mode == 0 else 0.0
        return gcp.penalties.FactorQuadratic(np.full(rank, strength), matrix=self.matrix(size))

    @staticmethod
    def matrix(size):
        differences = sparse.csr_array(np.diff(np.eye(size), n=2, axis=0))
        return differences.T @ differences


def test_strong_smoothness_takes_few_evaluations(rng):
    """With the mean of the matrix's diagonal in its place, 3000 iterations did not reach the minimum."""
    t = np.linspace(0, 1, 60)
    first = np.stack([1 + np.sin(2 * np.pi * t), 2 * t], axis=1)
    x = rng.poisson(full([first, rng.gamma(1, 1, (8, 2)), rng.gamma(1, 1, (7, 2))])).astype(float)
    result = fit_gcp(
        x, 2, loss="poisson", penalties=[Whittaker(1e4)], l2_reg=0.1, solver="plbfgs", random_state=0
    )
    assert result.converged
    assert result.n_eval < 600


def test_a_smoothed_matrix_has_the_minimum_of_its_normal_equations(rng):
    """Of a matrix with one factor fixed: (sum of squares of the other) * a + penalties' gradient = its product."""
    x, b = rng.normal(size=(30, 7)), rng.normal(size=(7, 2))
    result = fit_gcp(
        x,
        2,
        init=[rng.normal(size=(30, 2)), b],
        fixed_modes=[1],
        penalties=[Whittaker(50.0)],
        solver="plbfgs",
        tol=1e-14,
    )
    m = Whittaker.matrix(30).toarray()
    equations = np.kron(2 * np.eye(30), b.T @ b) + 50.0 * np.kron(m, np.eye(2))
    expected = np.linalg.solve(equations, 2 * (x @ b).ravel()).reshape(30, 2) @ b.T
    assert_allclose(result.model_values(), expected, atol=1e-6)
    assert result.n_eval < 20


@pytest.mark.parametrize("solver", ["plbfgs", "lbfgsb", "rows", "adam"])
def test_long_vectors_are_measured_in_runs(solver, rng, monkeypatch):
    x = rng.poisson(2.0, (9, 8, 7))
    options = {"loss": "poisson", "solver": solver, "random_state": 0, "n_iter_max": 20}
    truth = fit_gcp(x, 2, **options)
    monkeypatch.setattr(run, "_MANY", 7)
    found = fit_gcp(x, 2, **options)
    assert_allclose(found.objective, truth.objective, rtol=1e-9)
    assert_allclose(
        found.trace["projected_gradient_norm"][:10], truth.trace["projected_gradient_norm"][:10], rtol=1e-6
    )
