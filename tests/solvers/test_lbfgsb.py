"""Rung 5, for solvers that know bounds: stopping, scale, rejected steps; objectives written here are the truth."""

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose

from gcp import LBFGSB, FitError, ParameterError, PreconditionedLBFGS, build_objective, fit_gcp, simulate
from gcp.base.interval import REAL
from gcp.objectives.bounds import Bounds, resolve
from gcp.objectives.views.curvature import GaussNewton

pytestmark = pytest.mark.parametrize("method", [LBFGSB, PreconditionedLBFGS])

FREE = Bounds((np.full((3, 2), -np.inf),), (np.full((3, 2), np.inf),))


class Bowl:
    """A convex quadratic of one 3 x 2 factor with its minimum at `centre`; not finite `room` beyond that."""

    null_value, saturated_value = 100.0, 0.0

    def __init__(self, centre, room=np.inf, outside=np.inf):
        self.centre, self.room, self.outside = np.asarray(centre, float), room, outside
        self.curvatures = np.arange(1.0, 7.0).reshape(3, 2) ** 2
        self.rejected = 0

    def value_and_grad(self, factors):
        step = factors[0] - self.centre
        if (step > self.room).any():
            self.rejected += 1
            return self.outside, [np.full((3, 2), self.outside)]
        return float(np.sum(self.curvatures * step**2)), [2 * self.curvatures * step]

    def reach(self, factors):
        return 0.0

    has_its_minimum_at_infinity = False
    far = np.inf

    def lacks(self, feature):
        return "It has a gradient and a curvature."

    def value_grad_and_curvature(self, factors):
        return *self.value_and_grad(factors), ROUGHLY


# A curvature that leaves the solver something to correct: 2 everywhere, from a second, fixed mode.
ROUGHLY = GaussNewton.of(
    [np.zeros((3, 2)), np.sqrt(2.0) * np.eye(2)], [np.full(3, 2.0), np.full(2, 3.0)]
).restricted([(0,)])


CENTRE = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.1]])


def test_minimum_of_a_quadratic(method):
    out = method(tol=0, gradient_tol=1e-12).solve(Bowl(CENTRE), [np.zeros((3, 2))], FREE)
    assert_allclose(out.factors[0], CENTRE, atol=1e-5)
    assert out.converged
    assert out.status == "converged"


@pytest.mark.parametrize("outside", [np.inf, np.nan, -np.inf])
@pytest.mark.parametrize("room", [0.1, 0.01])
def test_points_without_a_finite_value_are_rejected_steps(method, outside, room):
    bowl = Bowl(CENTRE, room, outside)
    out = method(gradient_tol=1e-10, tol=1e-14).solve(bowl, [CENTRE - 2.0], FREE)
    assert bowl.rejected > 0
    assert_allclose(out.factors[0], CENTRE, atol=1e-4)
    assert np.isfinite(out.trace.objective).all()


def test_a_gradient_that_is_not_finite_is_rejected_too(method):
    class NanGradient(Bowl):
        def value_and_grad(self, factors):
            value, (grad,) = super().value_and_grad(factors)
            return (value if np.isfinite(value) else 0.0), [grad]

    bowl = NanGradient(CENTRE, 0.01, np.nan)
    out = method(gradient_tol=1e-10, tol=1e-14).solve(bowl, [CENTRE - 2.0], FREE)
    assert bowl.rejected > 0
    assert_allclose(out.factors[0], CENTRE, atol=1e-4)


def test_a_start_without_a_finite_value_is_refused(method):
    with pytest.raises(FitError, match="not finite at the start"):
        method().solve(Bowl(CENTRE, room=0.1), [CENTRE + 1.0], FREE)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.5), (-0.3, 0.7), (0.1, 0.1), (0.3, np.inf)])
def test_bounds_hold_exactly_at_every_callback(method, low, high):
    bounds = Bounds((np.full((3, 2), low),), (np.full((3, 2), high),))
    seen = []
    out = method().solve(Bowl(CENTRE), [np.full((3, 2), 5.0)], bounds, lambda s: seen.append(s.factors[0]))
    for a in (*seen, out.factors[0]):
        assert a.min() >= low
        assert a.max() <= high
    # a separable quadratic: the solution is the clipped centre
    assert_allclose(out.factors[0], np.clip(CENTRE, low, high), atol=1e-4)
    assert out.converged


def test_bounds_hold_during_a_poisson_fit(method, rng):
    data = rng.poisson(1.0, (8, 7, 6))
    lows = []
    fit_gcp(
        data,
        3,
        loss="poisson",
        bounds=(0.05, 0.9),
        callback=lambda s: lows.append((min(a.min() for a in s.factors), max(a.max() for a in s.factors))),
        random_state=0,
        solver=method(),
    )
    assert min(low for low, _ in lows) >= 0.05
    assert max(high for _, high in lows) <= 0.9


@pytest.mark.parametrize("loss", ["gaussian", "poisson", "gamma", "bernoulli-logit"])
def test_projected_gradient_is_small_at_convergence(method, loss):
    data, _ = simulate((12, 10, 8), 2, loss, scale=2.0, random_state=1)
    solver = method(tol=0, gradient_tol=1e-7, n_iter_max=5000)
    result = fit_gcp(data, 2, loss=loss, solver=solver, l2_reg=0.1, random_state=0)
    objective = build_objective(data, loss, l2_reg=0.1)
    factors = [result.factors[0] * result.weights, *result.factors[1:]]
    norm = np.prod([np.linalg.norm(a, axis=0) for a in factors], axis=0) ** (1 / 3)
    factors = [a / np.linalg.norm(a, axis=0) * norm for a in factors]  # the balance that ridge asks for
    grad = objective.value_and_grad(factors)[1]
    unit = objective.null_value - objective.saturated_value
    low = 0.0 if objective.loss.model_domain.low == 0 else -np.inf
    projected = [a - np.maximum(a - g / unit, low) for a, g in zip(factors, grad, strict=True)]
    assert max(np.linalg.norm(p) * np.linalg.norm(a) for p, a in zip(projected, factors, strict=True)) < 1e-5
    assert result.projected_gradient_norm <= 1e-7 or "no further decrease" in result.message


def test_the_same_solver_object_gives_the_same_bits_again(method, rng):
    solver = method()
    data, other = rng.normal(size=(6, 5, 4)), rng.normal(size=(3, 9, 2))
    first = fit_gcp(data, 2, solver=solver, random_state=0)
    fit_gcp(other, 3, solver=solver, random_state=1)
    again = fit_gcp(data, 2, solver=solver, random_state=0)
    assert first.objective == again.objective
    assert all(np.array_equal(a, b) for a, b in zip(first.factors, again.factors, strict=True))
    assert np.array_equal(first.trace["objective"], again.trace["objective"])


# --- scale -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["gaussian", "gamma", "rayleigh"])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_stopping_and_model_do_not_depend_on_the_unit_of_the_data(method, loss, scale):
    data = simulate((10, 9, 8), 2, loss, scale=3.0, random_state=2)[0].values
    # Later on, rounding that differs has grown: other processors then need some iterations more or less.
    one = fit_gcp(data, 2, loss=loss, solver=method(), random_state=0, tol=1e-4)
    other = fit_gcp(data * scale, 2, loss=loss, solver=method(), random_state=0, tol=1e-4)
    assert other.n_iter == one.n_iter
    assert other.status == one.status
    error = np.linalg.norm(other.model_values() / scale - one.model_values())
    assert error < 1e-6 * np.linalg.norm(one.model_values())


def test_an_objective_as_small_as_numbers_can_be_has_converged(method):
    """-log(1 - exp(-m)) of m = 708 is 3.3e-308: what is divided by it overflows."""
    start = [np.array([[708.0], [720.0]])]
    result = fit_gcp([1.0, 1.0], 1, loss="bernoulli-poisson", init=start, solver=method())
    assert result.converged
    assert result.objective <= result.trace["objective"][0] < 1e-307


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_a_ridge_in_the_unit_of_the_data_changes_nothing(method, scale):
    data = simulate((10, 9, 8), 2, "gaussian", scale=3.0, random_state=2)[0].values
    # The squared loss grows as scale^2, the squares of three factors as scale^(2/3).
    one = fit_gcp(data, 2, solver=method(), random_state=0, tol=1e-9, l2_reg=20.0)
    other = fit_gcp(
        data * scale, 2, solver=method(), random_state=0, tol=1e-9, l2_reg=20.0 * scale ** (4 / 3)
    )
    assert_allclose(other.objective, one.objective * scale**2, rtol=1e-6)
    assert abs(other.n_eval - one.n_eval) <= 3


@pytest.mark.parametrize("limit", range(1, 9))
def test_no_more_iterations_than_asked_for(method, limit):
    """Also where the distance from the bounds ends early, or entries are moved off them."""
    data = simulate((6, 5, 4), 2, "poisson", random_state=0)[0]
    result = fit_gcp(
        data, 2, loss="poisson", solver=method(n_iter_max=limit, gradient_tol=1e9), random_state=0
    )
    assert result.n_iter <= limit
    assert len(result.trace["objective"]) == result.n_iter + 1


@pytest.mark.parametrize("limit", [1, 3, 30])
def test_the_gradient_norm_is_that_of_the_true_bounds(method, limit):
    data = simulate((6, 5, 4), 2, "poisson", random_state=0)[0]
    objective = build_objective(data, "poisson")
    shapes = [(n, 2) for n in (6, 5, 4)]
    start = random_factors((6, 5, 4), 2, np.random.default_rng(0), positive=True)
    bounds = resolve(None, shapes, objective.loss.model_domain, "poisson")
    out = method(n_iter_max=limit, tol=0, gradient_tol=0).solve(objective, start, bounds)
    _, grad = objective.value_and_grad(out.factors)
    unit = objective.null_value - objective.saturated_value
    norms = []
    for a, g, first in zip(out.factors, grad, start, strict=True):
        scale = np.sqrt(np.mean(first**2))
        z = a / scale
        norms.append(np.linalg.norm(z - np.maximum(z - g * scale / unit, 0)) * np.linalg.norm(z))
    assert_allclose(out.projected_gradient_norm, max(norms), rtol=1e-6)
    assert out.trace.projected_gradient_norm[-1] == out.projected_gradient_norm


def test_float32_factors_keep_bounds_that_float32_cannot_hold(method):
    data = simulate((6, 5, 4), 2, "poisson", random_state=0)[0].values.astype(np.float32)
    out = method().solve(
        build_objective(data, "poisson"),
        [np.full((n, 2), 0.5, np.float32) for n in (6, 5, 4)],
        resolve((0.1, 0.7), [(n, 2) for n in (6, 5, 4)], REAL, "poisson"),
    )
    assert all((a.astype(float) >= 0.1).all() and (a.astype(float) <= 0.7).all() for a in out.factors)


@pytest.mark.parametrize("loss", ["gaussian", "poisson", "gamma"])
def test_stopping_does_not_depend_on_the_size_of_the_tensor(method, loss):
    data = simulate((10, 9, 8), 2, loss, scale=2.0, random_state=3)[0].values
    rng = np.random.default_rng(0)
    start = random_factors((10, 9, 8), 2, rng, positive=True)
    tiled = [np.concatenate([start[0]] * 4), *start[1:]]
    one = fit_gcp(data, 2, loss=loss, solver=method(), init=start, tol=1e-7)
    four = fit_gcp(np.concatenate([data] * 4), 2, loss=loss, solver=method(), init=tiled, tol=1e-7)
    assert_allclose(four.objective, 4 * one.objective, rtol=1e-4)
    assert four.n_iter < 2 * one.n_iter + 10
    assert one.n_iter < 2 * four.n_iter + 10
    by_weight = fit_gcp(data, 2, loss=loss, solver=method(), init=start, tol=1e-7, entry_weights=4.0)
    assert_allclose(by_weight.objective, 4 * one.objective, rtol=1e-6)
    # The weighted loop rounds differently; plbfgs decides by comparisons (which pairs, which face), which amplify it.
    slack = 2 if method is LBFGSB else 2 + 0.1 * one.n_iter
    assert abs(by_weight.n_iter - one.n_iter) <= slack


def test_a_large_offset_of_the_objective_does_not_stop_the_fit_early(method, rng):
    # -x log m summed over large counts is a huge number; tol is relative to the excess over the best possible
    truth = full(random_factors((8, 7, 6), 2, rng, positive=True)) * 1e6
    result = fit_gcp(
        np.round(truth), 2, loss="poisson", random_state=1, solver=method(), n_starts=3, n_iter_max=5000
    )
    assert result.training_deviance_explained > 0.99999


# --- stopping ----------------------------------------------------------------------------------------------


def test_no_iterations_return_the_start(method):
    start = np.full((3, 2), 0.5)
    out = method(n_iter_max=0).solve(Bowl(CENTRE), [start], FREE)
    assert np.array_equal(out.factors[0], start)
    assert (out.n_iter, out.status, out.converged) == (0, "n_iter_max", False)


class Trap(Bowl):
    """Every step away from the start rises, whatever the gradient promises."""

    def value_and_grad(self, factors):
        value, grad = super().value_and_grad(factors)
        return (value, grad) if (factors[0] == 1).all() else (value + 1e6, grad)


def test_a_flat_end_with_a_large_gradient_is_no_convergence(method):
    out = method().solve(Trap(CENTRE), [np.ones((3, 2))], FREE)
    assert np.array_equal(out.factors[0], np.ones((3, 2)))
    assert (out.status, out.converged) == ("stalled", False)
    assert "another start" in out.message
    assert "smaller tol" in method(tol=1.0).solve(Trap(CENTRE), [np.ones((3, 2))], FREE).message


@pytest.mark.parametrize("n", [1, 3])
def test_n_iter_max_is_kept(method, n):
    out = method(n_iter_max=n, tol=0, gradient_tol=0).solve(Bowl(CENTRE), [np.zeros((3, 2))], FREE)
    assert out.n_iter == n
    assert out.status == "n_iter_max"
    assert (
        len(out.trace.objective) == len(out.trace.seconds) == len(out.trace.projected_gradient_norm) == n + 1
    )


def test_max_seconds_stops_after_an_iteration(method):
    out = method(max_seconds=0.0).solve(Bowl(CENTRE), [np.zeros((3, 2))], FREE)
    assert (out.n_iter, out.status, out.converged) == (1, "max_seconds", False)


def test_callback_stops_and_sees_copies(method):
    states = []

    def callback(state):
        states.append(state)
        state.factors[0][:] = np.nan  # must not reach the solver
        return state.iteration == 3

    out = method(tol=0, gradient_tol=0).solve(Bowl(CENTRE), [np.zeros((3, 2))], FREE, callback)
    assert (out.n_iter, out.status, out.converged) == (3, "callback", False)
    assert [s.iteration for s in states] == [1, 2, 3]
    assert np.isfinite(out.factors[0]).all()
    assert out.objective == states[-1].objective == out.trace.objective[-1]


def test_objective_never_rises(method, rng):
    data = rng.poisson(2.0, (8, 7, 6))
    trace = fit_gcp(data, 3, solver=method(), loss="poisson", random_state=0).trace["objective"]
    assert (np.diff(trace) <= 1e-9 * abs(trace[0])).all()


def test_reported_objective_belongs_to_the_returned_factors(method):
    for options in ({}, {"n_iter_max": 4}):
        bowl = Bowl(CENTRE)
        out = method(**options).solve(bowl, [np.zeros((3, 2))], FREE)
        assert_allclose(bowl.value_and_grad(out.factors)[0], out.objective, rtol=1e-9, atol=1e-14)


def test_start_is_not_modified(method):
    start = np.full((3, 2), 5.0)
    method().solve(Bowl(CENTRE), [start], resolve((0, 1), [(3, 2)], REAL, "some"))
    assert (start == 5.0).all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("memory", bad) for bad in (0, 2.5, True)),
        *(("n_iter_max", bad) for bad in (-1, 1e3, None)),
        *(("tol", bad) for bad in (-1e-3, np.nan, "small", None)),
        *(("gradient_tol", bad) for bad in (-1, None)),
        *(("max_seconds", bad) for bad in (-1, "long")),
    ],
)
def test_bad_options_are_named(method, name, bad):
    with pytest.raises(ParameterError, match=name):
        method(**{name: bad})
