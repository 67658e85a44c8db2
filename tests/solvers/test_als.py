"""Rung 5: alternating least squares. Truths: einsum, the SVD, L-BFGS-B's minimum, exact low rank."""

from dataclasses import dataclass
from itertools import pairwise
from string import ascii_letters

import numpy as np
import pytest
from helpers import falls, full, match_score, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import ALS, LBFGSB, DenseTensor, ParameterError, build_objective, fit_gcp
from gcp.objectives.bounds import resolve
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.solvers.als import suits
from gcp.solvers.pieces import normal_equations

LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "backwards": lambda x: x[::-1],
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "rolled": lambda x: np.ascontiguousarray(np.moveaxis(x, 0, -1)).transpose(x.ndim - 1, *range(x.ndim - 1)),
}
SHAPES = [
    (7,),
    (5, 9),
    (40, 3),
    (6, 5, 4),
    (33, 70, 35),
    (3, 4, 5, 6),
    (2, 3, 4, 3, 2),
    (1, 1, 1),
    (20, 3, 600),
]


def contracted(tensor, side, factors, n_threads=1):
    out = np.full((factors[0].shape[1], int(np.prod([tensor.shape[n] for n in side]))), np.nan)
    tensor.contract(side, factors, out, n_threads)
    return out


def by_einsum(data, side, factors):
    modes = ascii_letters[: data.ndim]
    others = [n for n in range(data.ndim) if n not in side]
    terms = ",".join([modes, *(modes[n] + "Z" for n in others), "Z"])
    ones = np.ones(factors[0].shape[1])
    target = "Z" + "".join(modes[n] for n in side)
    operands = [data.astype(float), *(factors[n] for n in others), ones]
    return np.einsum(f"{terms}->{target}", *operands, optimize=True).reshape(len(ones), -1)


# --- contractions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_contractions_agree_with_einsum(shape, layout, rng):
    tensor = DenseTensor(LAYOUTS[layout](rng.normal(size=shape)))
    assert sorted(n for side in tensor.sides for n in side) == list(range(len(shape)))
    for rank, n_threads in ((1, 1), (4, 2), (7, 3)):
        factors = random_factors(shape, rank, rng)
        for side in tensor.sides:
            expected = by_einsum(tensor.values, side, factors)
            assert_allclose(
                contracted(tensor, side, factors, n_threads),
                expected,
                rtol=1e-12,
                atol=1e-12 * np.abs(expected).max(),
            )


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float16, np.float32, ">f8"])
def test_contractions_take_every_type_of_data(dtype, rng):
    data = (3 * rng.normal(size=(9, 70, 35))).astype(dtype)
    tensor, factors = DenseTensor(data), random_factors(data.shape, 3, rng)
    for side in tensor.sides:
        expected = by_einsum(data, side, factors)
        tolerance = 1e-12 if tensor.dtype == np.float64 else 1e-5
        found = contracted(tensor, side, factors)
        assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


# --- normal equations --------------------------------------------------------------------------------------


def test_an_update_minimises_over_each_mode_in_turn(rng):
    shape, rank, ridge = (4, 3, 5), 2, 0.3
    data, factors = rng.normal(size=shape), random_factors(shape, rank, rng)
    starts = np.cumsum([0, *shape])
    side_by_side = np.ascontiguousarray(np.concatenate(factors).T)
    grams = normal_equations.all_grams(side_by_side, starts)
    products = by_einsum(data, (1, 2), factors)
    group, free = np.array([1, 2]), np.ones(3, bool)
    ridges, none = np.full((3, rank), ridge), np.zeros((rank, 0))
    _, fit = normal_equations.update(products, group, free, side_by_side, starts, grams, ridges, none, 0.0)
    for mode, others in ((1, (0, 2)), (2, (0, 1))):
        m = np.moveaxis(data, mode, 0).reshape(shape[mode], -1)
        k = khatri_rao(factors, others)
        factors[mode] = np.linalg.solve(k.T @ k + ridge * np.eye(rank), k.T @ m.T).T
        assert_allclose(side_by_side[:, starts[mode] : starts[mode + 1]].T, factors[mode], rtol=1e-10)
    assert_allclose(fit + np.sum(data**2), np.sum((data - full(factors)) ** 2), rtol=1e-10)
    assert_allclose(grams, [a.T @ a for a in factors], rtol=1e-12)


def khatri_rao(factors, modes):
    first, second = (factors[n] for n in modes)
    return np.einsum("ir,jr->ijr", first, second).reshape(-1, first.shape[1])


def test_balancing_changes_norms_and_no_model(rng):
    factors = random_factors((4, 3, 5), 3, rng)
    factors[1][:, 2] = 0.0
    starts = np.array([0, 4, 7, 12])
    side_by_side = np.ascontiguousarray(np.concatenate(factors).T)
    grams = normal_equations.all_grams(side_by_side, starts)
    normal_equations.balance(side_by_side, starts, np.array([True, True, False]), grams)
    balanced = [side_by_side[:, a:b].T for a, b in pairwise(starts)]
    assert_allclose(full(balanced), full(factors), rtol=1e-12)
    assert np.array_equal(balanced[2], factors[2])
    norms = [np.linalg.norm(a, axis=0) for a in balanced]
    assert_allclose(norms[0][:2], norms[1][:2], rtol=1e-12)
    assert_allclose(grams, [a.T @ a for a in balanced], atol=1e-12)


# --- minima ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_of_a_matrix_it_finds_the_truncated_svd(rank, rng):
    data = rng.normal(size=(12, 6)) @ np.diag(2.0 ** np.arange(6))
    result = fit_gcp(data, rank, solver=ALS(tol=1e-12), random_state=0)
    best = np.sum(np.linalg.svd(data, compute_uv=False)[rank:] ** 2)
    assert_allclose(result.objective, best, rtol=1e-8, atol=1e-12 * np.sum(data**2))


def test_a_vector_is_fitted_exactly(rng):
    for rank in (1, 3):
        assert fit_gcp(rng.normal(size=9), rank, solver="als", random_state=0).objective < 1e-12


@pytest.mark.parametrize("l2_reg", [0.0, 0.5])
@pytest.mark.parametrize("shape", [(9, 8, 7), (5, 4, 3, 6)], ids=str)
@pytest.mark.parametrize("fixed", [(), (0,), (1, 2)], ids=str)
def test_it_reaches_the_minimum_of_lbfgsb(shape, fixed, l2_reg, rng):
    truth = random_factors(shape, 2, rng)
    data = full(truth) + 0.3 * rng.normal(size=shape)
    start = [a + 0.3 * rng.normal(size=a.shape) for a in truth]
    options = {"init": start, "fixed_modes": fixed, "l2_reg": l2_reg}
    other = fit_gcp(data, 2, solver=LBFGSB(tol=1e-14, gradient_tol=1e-9), **options)
    result = fit_gcp(data, 2, solver=ALS(tol=1e-14, gradient_tol=1e-9), **options)
    assert result.converged
    assert_allclose(result.objective, other.objective, rtol=1e-10)
    assert_allclose(result.penalty, other.penalty, rtol=1e-4)
    assert_allclose(result.model_values(), other.model_values(), atol=1e-4)


def test_fixed_factors_stay(rng):
    start = random_factors((5, 4, 3), 2, rng)
    result = fit_gcp(rng.normal(size=(5, 4, 3)), 2, solver="als", init=start, fixed_modes=[1])
    cosines = np.sum(result.factors[1] * start[1] / np.linalg.norm(start[1], axis=0), axis=0)
    assert_allclose(np.abs(cosines), 1.0)


@pytest.mark.parametrize("shape", [(10, 9, 8), (6, 5, 4, 5)], ids=str)
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_exact_low_rank_is_recovered_to_the_last_digits(shape, scale, rng):
    truth = random_factors(shape, 3, rng)
    data = full(truth) * scale
    result = fit_gcp(data, 3, solver=ALS(tol=0, gradient_tol=1e-14), random_state=0, n_starts=3)
    assert 0.0 <= result.objective < 1e-20 * np.sum(data**2)
    assert min(result.trace["objective"]) >= 0.0
    assert match_score(result.factors, truth) > 1 - 1e-8


@pytest.mark.parametrize("rank", [4, 12])
def test_ranks_beyond_the_sizes_of_modes(rank, rng):
    data = rng.normal(size=(3, 2, 3))
    result = fit_gcp(data, rank, solver="als", random_state=0, n_iter_max=500)
    assert np.isfinite(result.objective)
    assert falls(result.trace["objective"][:-1])
    if rank == 12:
        assert result.objective < 1e-4 * np.sum(data**2)


@pytest.mark.parametrize("data", [np.zeros((4, 3, 2)), np.full((4, 3, 2), 7.0), np.full((4, 3, 2), -1e6)])
@pytest.mark.parametrize("rank", [1, 3])
def test_constant_data(data, rank):
    result = fit_gcp(data, rank, solver="als", random_state=0)
    assert result.converged
    assert_allclose(result.model_values(), data, atol=1e-6 * np.abs(data).max() + 1e-9)


def test_a_start_of_equal_components_and_one_of_zeros(rng):
    data = rng.normal(size=(6, 5, 4))
    one = rng.normal(size=(15, 1))
    twins = [np.repeat(a, 3, axis=1) for a in np.split(one, [6, 11])]
    best_of_rank_1 = fit_gcp(data, 1, init=[a[:, :1] for a in twins], solver="als").objective
    assert fit_gcp(data, 3, init=twins, solver="als").objective <= best_of_rank_1 * (1 + 1e-6)
    zeros = [np.zeros((n, 2)) for n in data.shape]
    assert_allclose(fit_gcp(data, 2, init=zeros, solver="als").objective, np.sum(data**2))


# --- the course of a fit -----------------------------------------------------------------------------------


@pytest.fixture
def collinear(rng):
    """Slow enough for many restarts."""
    factors = [0.95 * rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, 4)) for n in (15, 14, 13)]
    return full(factors) + 0.1 * rng.normal(size=(15, 14, 13))


def test_the_objective_never_rises_and_is_that_of_the_factors(collinear):
    objective = build_objective(collinear, "gaussian", l2_reg=0.01)
    states = []
    result = fit_gcp(collinear, 4, solver=ALS(tol=1e-10), l2_reg=0.01, random_state=0, callback=states.append)
    assert result.converged
    assert falls(result.trace["objective"][:-1])
    for state in states:
        value, grad = objective.value_and_grad(state.factors)
        assert_allclose(state.objective, value, rtol=1e-9)
    norms = [np.linalg.norm(g) * np.linalg.norm(a) for g, a in zip(grad, state.factors, strict=True)]
    unit = objective.null_value - objective.saturated_value
    assert_allclose(result.projected_gradient_norm, max(norms) / unit, rtol=1e-3)
    assert result.n_eval > result.n_iter + 1  # rises were rejected
    assert len(result.trace["seconds"]) == result.n_iter + 1


def test_extrapolation_is_worth_its_while(collinear):
    fast = fit_gcp(collinear, 4, solver=ALS(tol=1e-9), random_state=0)
    assert fast.n_eval < 400


def test_gradient_tol_holds_for_the_whole_gradient(collinear):
    result = fit_gcp(collinear, 4, solver=ALS(tol=0, gradient_tol=1e-4), random_state=0)
    assert "gradient_tol" in result.message
    assert result.projected_gradient_norm <= 1e-4
    assert result.trace["projected_gradient_norm"][-1] == result.projected_gradient_norm


def test_limits_and_callback(collinear):
    assert fit_gcp(collinear, 2, solver="als", n_iter_max=0, random_state=0).n_eval == 1
    result = fit_gcp(collinear, 2, solver="als", n_iter_max=3, random_state=0)
    assert (result.n_iter, result.status, result.n_eval) == (3, "n_iter_max", 5)
    assert fit_gcp(collinear, 2, solver="als", max_seconds=0.0, random_state=0).status == "max_seconds"
    stopped = fit_gcp(collinear, 2, solver="als", random_state=0, callback=lambda s: s.iteration == 2)
    assert (stopped.n_iter, stopped.status) == (2, "callback")


def test_an_interrupt_keeps_the_best_model(collinear):
    def interrupt(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    result = fit_gcp(collinear, 2, solver="als", random_state=0, callback=interrupt)
    assert (result.status, result.n_iter) == ("interrupted", 3)


def test_same_seed_same_bits_and_threads_do_not_matter(rng):
    data = full(random_factors((40, 45, 50), 3, rng)) + rng.normal(size=(40, 45, 50))
    options = {"solver": ALS(tol=1e-12), "random_state": 0}
    one, again, two = (fit_gcp(data, 3, n_threads=n, **options) for n in (1, 1, 2))
    assert one.objective == again.objective
    assert all(np.array_equal(a, b) for a, b in zip(one.factors, again.factors, strict=True))
    assert_allclose(two.objective, one.objective, rtol=1e-10)


@pytest.mark.parametrize("noise", [0.0, 0.01, 1.0])
def test_float32(noise, rng):
    truth = random_factors((20, 15, 10), 2, rng)
    data = (full(truth) + noise * rng.normal(size=(20, 15, 10))).astype(np.float32)
    single = fit_gcp(data, 2, solver="als", random_state=0)
    double = fit_gcp(data.astype(float), 2, solver="als", random_state=0)
    assert single.factors[0].dtype == np.float32
    assert single.converged
    assert_allclose(single.objective, double.objective, rtol=1e-4, atol=1e-11 * np.sum(data**2))


def test_the_unit_of_the_data_does_not_matter(rng):
    data = full(random_factors((9, 8, 7), 2, rng)) + rng.normal(size=(9, 8, 7))
    one, large = (fit_gcp(data * unit, 2, solver="als", random_state=0) for unit in (1.0, 2.0**30))
    assert large.n_iter == one.n_iter
    assert_allclose(large.objective, one.objective * 4.0**30, rtol=1e-10)


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"loss": "poisson"}, "the poisson loss"),
        ({"mask": np.eye(4, dtype=bool)}, "missing entries"),
        ({"entry_weights": np.full((4, 4), 2.0)}, "entry weights"),
        ({"bounds": (0, None)}, "bounds"),
        ({"bounds": [(None, None), (None, 5.0)]}, "mode 1"),
        ({"tied_modes": [(0, 1)]}, r"tied modes \(0, 1\)"),
    ],
)
def test_other_problems_are_refused(options, found):
    with pytest.raises(ParameterError, match=rf"(?s){found}.*auto"):
        fit_gcp(np.ones((4, 4)), 1, solver="als", **options)


@pytest.mark.parametrize(
    "bad", [{"n_iter_max": -1}, {"tol": -1.0}, {"gradient_tol": None}, {"max_seconds": -1}]
)
def test_bad_options_are_named(bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        ALS(**bad)


def test_it_says_what_suits_it():
    for loss, bounds, expected in (
        ("gaussian", None, True),
        ("poisson", None, False),
        ("gaussian", (0, None), False),
    ):
        objective = build_objective(np.ones((3, 2)), loss)
        limits = resolve(bounds, [(3, 1), (2, 1)], objective.loss.model_domain, loss)
        assert suits(objective, limits) is expected


def test_free_factors_pass_on_what_is_free(rng):
    objective = build_objective(rng.normal(size=(4, 3, 2)), "gaussian")
    template = random_factors((4, 3, 2), 2, rng)
    problem = FreeFactors(objective, Parametrisation(3, ((0,), (2,))), template).least_squares()
    assert problem.free == (0, 2)
    assert problem.expand([template[0], template[2]])[1] is template[1]


# --- penalties of a user's own -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SquaredWeights(gcp.penalties.Penalty):
    """(strength / 2) * sum of the components' squared weights: of a factor, its strengths follow from the others."""

    strength: float

    is_row_wise = True

    def value(self, factors):
        squares = [np.sum(np.square(a, dtype=float), axis=0) for a in factors]
        return 0.5 * self.strength * float(np.sum(np.prod(squares, axis=0)))

    def of_others(self, mode, factors):
        squares = [np.sum(a**2, axis=0) for n, a in enumerate(factors) if n != mode]
        return self.strength * np.prod(squares, axis=0) * np.ones(factors[mode].shape[1])

    def add_grad(self, factors, grad):
        for n, (a, g) in enumerate(zip(factors, grad, strict=True)):
            g += self.of_others(n, factors) * a

    def quadratic(self, mode, factors):
        return gcp.penalties.FactorQuadratic(self.of_others(mode, factors))


@pytest.mark.parametrize("strength", [0.5, 2.0, 8.0])
def test_strengths_follow_from_factors_that_were_updated_before(strength, rng):
    """Of one component of weight 10 in three equal parts: (10 - w)**2 + strength / 2 * w**2 / 3, the least over w."""
    a, b, c = (np.linalg.qr(rng.normal(size=(n, 1)))[0] for n in (8, 7, 6))
    result = fit_gcp(
        full([10.0 * a, b, c]),
        3,
        penalties=[SquaredWeights(strength)],
        solver="als",
        random_state=0,
        tol=1e-13,
    )
    assert result.converged
    assert_allclose(result.objective, 100.0 * strength / (6.0 + strength))
    assert_allclose(result.weights.sum(), 60.0 / (6.0 + strength), rtol=1e-5)


class Along(SquaredWeights):
    """A matrix along each mode, whether it says so or not."""

    def quadratic(self, mode, factors):
        return super().quadratic(mode, factors)._replace(matrix=np.eye(len(factors[mode])))


def test_a_matrix_along_a_mode_is_refused(rng):
    x = rng.normal(size=(5, 4, 3))
    with pytest.raises(ParameterError, match="Along says is_row_wise, but has a matrix along mode"):
        fit_gcp(x, 2, penalties=[Along(1.0)], solver="als", random_state=0)
    honest = type("Honest", (Along,), {"is_row_wise": False})
    with pytest.raises(ParameterError, match="found a penalty other than a ridge"):
        fit_gcp(x, 2, penalties=[honest(1.0)], solver="als", random_state=0)
