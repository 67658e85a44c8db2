"""Rung 3: factors as linear maps of variables. Truths: differences, adjoints, the dense Gauss-Newton matrix, NumPy's
regression.
"""

from dataclasses import replace

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy import sparse

from gcp import LBFGSB, ParameterError, PreconditionedLBFGS, SparseTensor, build_objective, get_loss
from gcp.fit import fit_problem
from gcp.objectives.bounds import Bounds
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.problem import Problem
from gcp.objectives.views.curvature import GaussNewton
from gcp.penalties import FactorQuadratic
from gcp.solvers.pieces.blocks import Blocks
from gcp.solvers.pieces.packing import Packing
from gcp.solvers.pieces.quadratic import Quadratic
from gcp.solvers.starts.plan import Plan

SHAPE = (6, 5, 6)
RANK = 2


def design(rng, n=6, k=3, kind=np.asarray):
    return kind(rng.normal(size=(n, k)))


@pytest.fixture(params=["design", "sparse design", "ties", "tied design", "design and fixed"])
def parametrisation(request, rng):
    z = design(rng, kind=sparse.csr_array if request.param == "sparse design" else np.asarray)
    return {
        "design": Parametrisation(3, ((0,), (1,), (2,)), ((0, z),)),
        "sparse design": Parametrisation(3, ((0,), (1,), (2,)), ((2, z),)),
        "ties": Parametrisation(3, ((0, 2), (1,))),
        "tied design": Parametrisation(3, ((0, 2), (1,)), ((0, z), (2, z))),
        "design and fixed": Parametrisation(3, ((0,), (2,)), ((0, z),)),
    }[request.param]


def variables_of(parametrisation, factors, rng):
    return [rng.normal(size=a.shape) for a in parametrisation.reduce(factors)]


def test_gather_is_the_transpose_of_expand(parametrisation, rng):
    zeros = [np.zeros((n, RANK)) for n in SHAPE]
    c = variables_of(parametrisation, zeros, rng)
    g = [rng.normal(size=(n, RANK)) for n in SHAPE]
    there = sum(np.sum(a * b) for a, b in zip(parametrisation.expand(c, zeros), g, strict=True))
    back = sum(np.sum(a * b) for a, b in zip(c, parametrisation.gather(g), strict=True))
    assert_allclose(there, back)


def test_reduce_finds_the_variables_again(parametrisation, rng):
    template = [rng.normal(size=(n, RANK)) for n in SHAPE]
    c = variables_of(parametrisation, template, rng)
    for a, b in zip(parametrisation.reduce(parametrisation.expand(c, template)), c, strict=True):
        assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("loss", ["gaussian", "bernoulli-logit"])
def test_gradients_are_differences(loss, parametrisation, rng):
    x = rng.integers(0, 2, SHAPE).astype(float)
    template = random_factors(SHAPE, RANK, rng)
    free = FreeFactors(build_objective(x, loss, l2_reg=0.3), parametrisation, template)
    c = variables_of(parametrisation, template, rng)
    value, grad = free.value_and_grad(c)
    assert_allclose(free.value_grad_and_curvature(c)[0], value)
    for k, a in enumerate(c):
        for at in np.ndindex(*a.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [b.copy() for b in c]
                moved[k][at] += step
                ends.append(free.value_and_grad(moved)[0])
            assert_allclose(grad[k][at], (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-7)


def pad(blocks, vector):
    """Factors one behind the other, row by row, as a padded vector."""
    return blocks.pack(Packing(blocks.shapes).unpack(vector))


def unpad(blocks, padded):
    """The way back."""
    return Packing(blocks.shapes).pack(blocks.unpack(padded))


def dense_model(curvature, c):
    """The matrix of a model in the variables, from its products with all unit vectors."""
    blocks = Blocks.of(c)
    model = Quadratic(curvature, blocks, np.ones(len(c)), 1.0)
    return np.array(
        [unpad(blocks, model.gauss_newton(pad(blocks, e))) for e in np.eye(sum(a.size for a in c))]
    )


def moves(parametrisation, factors):
    """The changes of all modes' factors, one list of arrays for each number in the variables."""
    c, zeros = parametrisation.reduce(factors), [np.zeros_like(a) for a in factors]
    units = [[np.zeros_like(b) for b in c] for _ in range(sum(a.size for a in c))]
    for k, at in enumerate((n, i) for n, a in enumerate(c) for i in np.ndindex(*a.shape)):
        units[k][at[0]][at[1]] = 1.0
    return [parametrisation.expand(unit, zeros) for unit in units]


def test_curvature_is_that_of_the_gauss_newton_matrix(parametrisation, rng):
    factors = random_factors(SHAPE, RANK, rng)
    c = parametrisation.reduce(factors)
    factors = parametrisation.expand(c, factors)
    weights = full([rng.uniform(0.5, 2.0, (n, 1)) for n in SHAPE])
    marginals = [weights.sum(axis=tuple({0, 1, 2} - {n})) for n in range(3)]
    columns = [
        sum(full([moved[m] if m == n else factors[m] for m in range(3)]) for n in range(3)).ravel()
        for moved in moves(parametrisation, factors)
    ]
    j = np.array(columns).T
    expected = j.T @ (weights.ravel()[:, None] * j)
    curvature = GaussNewton.of(factors, marginals).restricted(parametrisation.groups, parametrisation.maps)
    assert_allclose(dense_model(curvature, c), expected, atol=1e-9)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_penalties_are_in_the_curvature_as_they_are(kind, parametrisation, rng):
    """Second derivatives of ridges and of matrices along modes, by NumPy, beside what the curvature is without."""
    factors = random_factors(SHAPE, RANK, rng)
    c = parametrisation.reduce(factors)
    factors = parametrisation.expand(c, factors)
    marginals = [np.full(n, 7.0 / n) for n in SHAPE]
    strengths, ridge = rng.uniform(0.5, 2.0, (3, RANK)), np.array([0.3, 0.2, 0.1])
    roots = [rng.normal(size=(n, n)) * (rng.random((n, n)) < 0.5) for n in SHAPE]
    along = [(n, FactorQuadratic(strengths[n], matrix=kind(roots[n].T @ roots[n]))) for n in (0, 1, 2)]
    along.append((0, FactorQuadratic(strengths[1], matrix=kind(np.eye(SHAPE[0])))))  # two of one mode
    columns = moves(parametrisation, factors)
    slopes = [[ridge[n] * a for n, a in enumerate(moved)] for moved in columns]
    for moved, slope in zip(columns, slopes, strict=True):
        for n, own in along:
            slope[n] = slope[n] + own.strengths * (own.matrix @ moved[n])
    expected = [[sum(np.sum(a * b) for a, b in zip(x, y, strict=True)) for y in slopes] for x in columns]
    with_penalties, without = (
        GaussNewton.of(factors, marginals, *penalties).restricted(
            parametrisation.groups, parametrisation.maps
        )
        for penalties in ((ridge, tuple(along)), ())
    )
    assert_allclose(dense_model(with_penalties, c), dense_model(without, c) + expected, atol=1e-9)


def problem_with(z, x, loss="gaussian", *, rank=RANK, **options):
    problem = Problem.of(x, rank, get_loss(loss), **options)
    return replace(problem, parametrisation=Parametrisation(x.ndim, ((0,), (1,)), ((0, z),)))


@pytest.mark.parametrize("solver", [LBFGSB(tol=1e-15), PreconditionedLBFGS(tol=1e-15)])
def test_a_design_is_a_regression(solver, rng):
    """Of a matrix: the truncated singular value decomposition of its projection onto the design."""
    z, x = design(rng, 9, 3), rng.normal(size=(9, 7))
    result = fit_problem(problem_with(z, x, rank=2), Plan.of(solver=solver, random_state=0, n_starts=3))
    q = np.linalg.qr(z)[0]
    u, s, v = np.linalg.svd(q.T @ x, full_matrices=False)
    assert_allclose(result.model_values(), q @ (u[:, :2] * s[:2]) @ v[:2], atol=1e-5)
    inside = np.linalg.lstsq(z, result.factors[0], rcond=None)[0]
    assert_allclose(z @ inside, result.factors[0], atol=1e-10)


@pytest.mark.parametrize("solver", [LBFGSB(), PreconditionedLBFGS()])
def test_a_design_of_the_identity_changes_nothing(solver, rng):
    x = rng.poisson(3.0, (6, 5)).astype(float)
    plain = fit_problem(Problem.of(x, 2, get_loss("poisson")), Plan.of(solver=solver, random_state=0))
    same = fit_problem(problem_with(np.eye(6), x, "poisson"), Plan.of(solver=solver, random_state=0))
    assert_allclose(same.objective, plain.objective, rtol=1e-9)
    assert min(a.min() for a in same.factors) >= 0


def test_bounds_of_what_a_design_makes():
    three = Parametrisation(1, ((0,),), ((0, np.ones((4, 2))),))
    low, high = np.zeros((4, 2)), np.full((4, 2), np.inf)
    found = three.bounds(Bounds((low,), (high,)))
    assert found.lower[0].shape == (2, 2)
    assert (found.lower[0] == 0).all()
    signed = Parametrisation(1, ((0,),), ((0, -np.ones((4, 2))),))
    with pytest.raises(ParameterError, match="a design keeps bounds at 0 alone"):
        signed.bounds(Bounds((low,), (high,)))
    with pytest.raises(ParameterError, match="a design keeps bounds at 0 alone"):
        three.bounds(Bounds((low + 1,), (high,)))


def test_rows_do_not_move_apart_under_a_design(rng):
    x = rng.poisson(1.0, (6, 5)).astype(float)
    sparse_x = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    problem = replace(
        Problem.of(sparse_x, 2, get_loss("poisson")),
        parametrisation=Parametrisation(2, ((0,), (1,)), ((0, np.abs(design(rng))),)),
    )
    free = FreeFactors(problem.objective, problem.parametrisation, random_factors((6, 5), 2, rng))
    with pytest.raises(ParameterError, match="a factor that is a linear map"):
        free.row_wise()
    dense = replace(Problem.of(x, 2, get_loss("gaussian")), parametrisation=problem.parametrisation)
    with pytest.raises(ParameterError, match="a factor that is a linear map"):
        FreeFactors(dense.objective, dense.parametrisation, free.template).least_squares()
