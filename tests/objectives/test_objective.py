"""Rung 3: the weighted sum, its gradient, missing entries, and the messages about data out of domain."""

import numpy as np
import pytest
from helpers import LOSSES, central_difference, full, interior_points, random_factors, short
from numpy.testing import assert_allclose
from scipy import optimize

from gcp import (
    BetaDivergence,
    DataError,
    DenseTensor,
    DomainError,
    Gamma,
    Huber,
    ObservedTensor,
    ParameterError,
    Poisson,
    Rayleigh,
    build_objective,
)
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.survey import survey

SHAPE = (5, 4, 3)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=short)


def problem(loss, rng, shape=SHAPE):
    """Data and factors inside the domains."""
    x = interior_points(loss, int(np.prod(shape)), rng)[0].reshape(shape)
    return x, random_factors(shape, 2, rng, positive=loss.model_domain.low == 0)


def same_bits(a, b):
    return a[0] == b[0] and all(np.array_equal(p, q) for p, q in zip(a[1], b[1], strict=True))


@every_loss
def test_taylor_remainder_falls_with_the_square_of_the_step(loss, rng):
    data, factors = problem(loss, rng)
    objective = build_objective(data, loss, l2_reg=0.3)
    value, grad = objective.value_and_grad(factors)
    direction = [0.1 * rng.normal(size=a.shape) for a in factors]
    if loss.name == "huber":  # its second derivative jumps: stay within one piece
        direction = [0.1 * d for d in direction]
    slope = sum(np.vdot(g, d) for g, d in zip(grad, direction, strict=True))
    steps = np.array([1.0, 0.5, 0.25, 0.125]) * 0.05
    moved = [[a + t * d for a, d in zip(factors, direction, strict=True)] for t in steps]
    rest = np.array(
        [abs(objective.value_and_grad(f)[0] - value - t * slope) for f, t in zip(moved, steps, strict=True)]
    )
    order = np.polyfit(np.log(steps), np.log(rest), 1)[0]
    assert order == pytest.approx(2, abs=0.15)


@every_loss
def test_value_is_the_plain_sum_of_the_loss(loss, rng):
    data, factors = problem(loss, rng)
    objective = build_objective(data, loss)
    expected = np.sum(objective.loss.value(data, full(factors)))
    assert_allclose(objective.value_and_grad(factors)[0], expected, rtol=1e-11)


@every_loss
def test_weight_two_counts_an_entry_twice(loss, rng):
    data, factors = problem(loss, rng)
    weights = rng.integers(0, 3, SHAPE)
    one = build_objective(data, loss, entry_weights=weights)
    # the same data in a tensor twice as long, listed there zero, one or two times
    doubled = np.concatenate([data, data])
    listed = np.concatenate([weights >= 1, weights == 2])
    two = build_objective(doubled, one.loss, mask=listed)
    value, grad = one.value_and_grad(factors)
    twice = [np.concatenate([factors[0]] * 2), *factors[1:]]
    value2, grad2 = two.value_and_grad(twice)
    assert_allclose(value, value2, rtol=1e-11)
    assert_allclose(grad[0], grad2[0][:5] + grad2[0][5:], rtol=1e-9, atol=1e-9)
    assert_allclose(grad[1], grad2[1], rtol=1e-9, atol=1e-9)
    assert_allclose(one.null_value, two.null_value, rtol=1e-8)
    assert_allclose(one.saturated_value, two.saturated_value, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
@pytest.mark.parametrize("hidden", [np.nan, np.inf, -np.inf, -1e300, 0.37, -4.0])
def test_what_lies_under_weight_zero_does_not_matter(loss, hidden, rng):
    data, factors = problem(loss, rng)
    mask = rng.random(SHAPE) > 0.3
    plain = build_objective(data, loss, mask=mask)
    changed = build_objective(np.where(mask, data, hidden), loss, mask=mask)
    by_weight = build_objective(np.where(mask, data, hidden), loss, entry_weights=mask.astype(float))
    for other in (changed, by_weight):
        assert same_bits(plain.value_and_grad(factors), other.value_and_grad(factors))
        assert plain.null_value == other.null_value
        assert plain.saturated_value == other.saturated_value
        assert plain.survey == other.survey


@every_loss
def test_weight_zero_equals_leaving_the_entries_out(loss, rng):
    data, factors = problem(loss, rng)
    weights = np.ones(SHAPE)
    weights[1] = 0
    one, two = (
        build_objective(data, loss, entry_weights=weights),
        build_objective(np.delete(data, 1, 0), loss),
    )
    value, grad = one.value_and_grad(factors)
    less = [np.delete(factors[0], 1, 0), *factors[1:]]
    value2, grad2 = two.value_and_grad(less)
    assert_allclose(value, value2, rtol=1e-11)
    assert (grad[0][1] == 0).all()
    assert_allclose(grad[2], grad2[2], rtol=1e-9, atol=1e-9)


def test_nan_masked_arrays_masks_and_weights_say_the_same(rng):
    data, factors = rng.normal(size=SHAPE), random_factors(SHAPE, 2, rng)
    mask = rng.random(SHAPE) > 0.4
    ways = [
        build_objective(np.where(mask, data, np.nan), "gaussian"),
        build_objective(np.ma.array(data, mask=~mask), "gaussian"),
        build_objective(data, "gaussian", mask=mask),
        build_objective(data, "gaussian", entry_weights=mask),
    ]
    expected = np.sum(((data - full(factors)) ** 2)[mask])
    for way in ways:
        assert_allclose(way.value_and_grad(factors)[0], expected, rtol=1e-12)
        assert same_bits(way.value_and_grad(factors), ways[0].value_and_grad(factors))


def test_weights_scale_the_loss_not_the_data(rng):
    data, factors = rng.normal(3, 1, SHAPE), random_factors(SHAPE, 2, rng)
    value, grad = build_objective(data, "gaussian").value_and_grad(factors)
    half, half_grad = build_objective(data, "gaussian", entry_weights=0.5).value_and_grad(factors)
    assert_allclose(half, value / 2)
    assert_allclose(half_grad[1], grad[1] / 2)


def test_mask_and_weights_broadcast(rng):
    data, factors = rng.normal(size=SHAPE), random_factors(SHAPE, 2, rng)
    w = np.array([1.0, 0.0, 2.5])
    value = build_objective(data, "gaussian", entry_weights=w).value_and_grad(factors)[0]
    assert_allclose(value, np.sum(w * (data - full(factors)) ** 2))


@every_loss
def test_permuting_modes_permutes_gradients(loss, rng):
    data, factors = problem(loss, rng)
    order = (2, 0, 1)
    value, grad = build_objective(data, loss).value_and_grad(factors)
    moved = build_objective(data.transpose(order), loss)
    value2, grad2 = moved.value_and_grad([factors[n] for n in order])
    assert_allclose(value, value2, rtol=1e-12)
    for k, n in enumerate(order):
        assert_allclose(grad2[k], grad[n], rtol=1e-9, atol=1e-10)


def test_ridge_adds_half_the_strength_times_the_squares(rng):
    data, factors = rng.normal(size=SHAPE), random_factors(SHAPE, 2, rng)
    plain, ridge = (
        build_objective(data, "gaussian"),
        build_objective(data, "gaussian", l2_reg={"factors": 0.6}),
    )
    (value, grad), (value2, grad2) = plain.value_and_grad(factors), ridge.value_and_grad(factors)
    assert_allclose(value2 - value, 0.3 * sum(np.sum(a**2) for a in factors))
    for a, g, g2 in zip(factors, grad, grad2, strict=True):
        assert_allclose(g2 - g, 0.6 * a, atol=1e-12)


def test_gradient_of_tied_and_free_modes_matches_finite_differences(rng):
    # data that are not symmetric: the two tied modes have different gradients
    objective = build_objective(rng.normal(size=(4, 4, 3, 2)), "gaussian")
    template = random_factors((4, 4, 3, 2), 2, rng)
    template[1] = template[0]
    free = FreeFactors(objective, Parametrisation(4, ((0, 1), (3,))), template)  # mode 2 is fixed
    factors = free.reduce(template)
    grad = free.value_and_grad(factors)[1]
    for k, a in enumerate(factors):
        for where in np.ndindex(a.shape):

            def along(t, k=k, where=where):
                moved = [b.copy() for b in factors]
                moved[k][where] = t
                return free.value_and_grad(moved)[0]

            numeric = central_difference(np.vectorize(along), a[where])
            assert_allclose(grad[k][where], numeric, rtol=1e-6, atol=1e-8)


def test_factors_are_not_modified(rng):
    data, factors = rng.normal(size=SHAPE), random_factors(SHAPE, 2, rng)
    copies = [a.copy() for a in factors]
    build_objective(data, "gaussian", l2_reg=1.0).value_and_grad(factors)
    assert all(np.array_equal(a, b) for a, b in zip(factors, copies, strict=True))


# --- null and saturated model ------------------------------------------------------------------------------


@every_loss
def test_null_value_is_the_least_over_all_constants(loss, rng):
    data = problem(loss, rng)[0]
    weights = rng.uniform(0.1, 3, SHAPE)
    objective = build_objective(data, loss, entry_weights=weights)
    total = lambda m: float(np.sum(weights * objective.loss.value(data, m)))  # noqa: E731
    low, high = (1e-6, 20.0) if loss.model_domain.low == 0 else (-10.0, 10.0)
    grid = np.linspace(low, high, 400)
    near = grid[np.argmin([total(m) for m in grid])]
    step = grid[1] - grid[0]
    best = optimize.minimize_scalar(
        total, bounds=(max(low, near - step), near + step), method="bounded", options={"xatol": 1e-10}
    )
    assert_allclose(objective.null_value, best.fun, rtol=1e-8)


@every_loss
def test_saturated_value_is_the_sum_of_the_least_values(loss, rng):
    data = problem(loss, rng)[0]
    weights = rng.uniform(0, 3, SHAPE)
    objective = build_objective(data, loss, entry_weights=weights)
    assert_allclose(
        objective.saturated_value, np.sum(weights * loss.saturated_value(data)), rtol=1e-11, atol=1e-12
    )
    assert objective.saturated_value <= objective.null_value


@pytest.mark.parametrize("loss", ["gaussian", "poisson", "gamma", "rayleigh"])
def test_null_constant_of_data_in_large_units(loss):
    data = np.array([1e12, 3e12, 2e12])
    expected = np.sqrt(np.pi * np.mean(data**2)) / 2 if loss == "rayleigh" else 2e12
    assert_allclose(build_objective(data, loss).null_constant, expected)


@pytest.mark.parametrize("name", ["bernoulli-logit", "bernoulli-odds", "bernoulli-poisson"])
@pytest.mark.parametrize("constant", [0, 1])
def test_constant_binary_data_are_ordinary(name, constant):
    objective = build_objective(np.full(SHAPE, constant), name)
    assert np.isfinite(objective.null_value)
    assert_allclose(objective.null_value, 0, atol=1e-6)


@pytest.mark.parametrize("name", ["poisson", "poisson-log", "negative-binomial", "negative-binomial-logit"])
def test_all_zero_counts_are_ordinary(name):
    assert_allclose(build_objective(np.zeros(SHAPE), name).null_value, 0, atol=1e-6)


def test_huber_null_value_resists_an_outlier():
    data = np.array([1.0, 1.1, 0.9, 1.0, 500.0])
    objective = build_objective(data, Huber(delta=0.5))
    # the outlier pulls by 2 delta = 1, the four others by 2 (m - x): 8 (m - 1) = 1
    assert objective.null_constant == pytest.approx(1.125, abs=1e-6)


# --- domains -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", ["C", "F"])
def test_domain_error_names_value_subscript_and_how_many_more(memory):
    data = np.array(np.arange(24).reshape(2, 3, 4), dtype=float, order=memory)
    data[1, 0, 3] = -2.0
    with pytest.raises(
        DomainError, match=r"poisson.*whole numbers in \[0, inf\).*-2\.0 at subscript \(1, 0, 3\)\. .*loss="
    ):
        build_objective(data, "poisson")
    data[:, 2, 1] = 0.5
    with pytest.raises(DomainError, match="and 2 more"):
        build_objective(data, "poisson")


def test_domain_errors_are_counted_over_all_blocks():
    data = np.ones((300, 400))
    data[0, 0] = data[150, 7] = data[299, 399] = -1
    with pytest.raises(DomainError, match=r"\(0, 0\), and 2 more"):
        build_objective(data, "poisson")


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        ("poisson", -1),
        ("poisson", 0.5),
        ("poisson", np.inf),
        ("poisson-log", -1),
        ("negative-binomial", 1.5),
        ("negative-binomial-logit", -3),
        ("bernoulli-logit", 2),
        ("bernoulli-odds", 0.5),
        ("bernoulli-poisson", -1),
        ("gamma", 0.0),
        ("gamma", -1.0),
        ("rayleigh", 0.0),
        ("beta-divergence", -0.1),
        ("gaussian", np.inf),
        ("huber", -np.inf),
    ],
)
def test_data_outside_the_domain_are_refused_and_admitted_under_a_mask(loss, bad):
    data = np.ones((2, 3))
    data[1, 2] = bad
    with pytest.raises(DomainError, match=r"subscript \(1, 2\)"):
        build_objective(data, loss)
    mask = np.ones((2, 3), bool)
    mask[1, 2] = False
    assert np.isfinite(build_objective(data, loss, mask=mask).null_value)


@pytest.mark.parametrize("loss", [Gamma(), Rayleigh(), BetaDivergence(beta=0)], ids=short)
def test_zeros_are_refused_with_the_way_out(loss):
    with pytest.raises(DomainError, match=r"unbounded below.*mask"):
        build_objective(np.array([1.0, 0.0]), loss)


@pytest.mark.parametrize("loss", ["poisson", "negative-binomial", "beta-divergence", "poisson-log"])
def test_zeros_are_data_for_the_nonnegative_losses(loss):
    survey = build_objective(np.array([0.0, 1.0, 0.0]), loss).survey
    assert (survey.total_weight, survey.mean) == (3.0, 1 / 3)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.full((2, 2), np.nan), {}, "no observed entry"),
        (np.ones((2, 2)), {"mask": np.zeros((2, 2), bool)}, "no observed entry"),
        (np.ones((2, 2)), {"entry_weights": 0.0}, "no observed entry"),
        (np.ones((2, 2)), {"mask": np.ones((3, 2), bool)}, r"mask has shape \(3, 2\)"),
        (np.ones((2, 2)), {"mask": np.ones((2, 2))}, "mask has dtype float64"),
        (np.ones((2, 2)), {"entry_weights": -np.eye(2)}, r"entry_weights.*-1\.0 at \(0, 0\), and 1 more"),
        (np.ones((2, 2)), {"entry_weights": [np.nan, 1]}, "entry_weights.*nan"),
        (np.ones((2, 2)), {"entry_weights": [np.inf, 1]}, "entry_weights.*inf"),
        (np.ones((2, 2)), {"entry_weights": [1, 2, 3]}, r"entry_weights has shape \(3,\)"),
        (np.ones((2, 2)), {"entry_weights": ["a", "b"]}, "entry_weights has dtype"),
        (np.float64(3.0), {}, "single number"),
        (np.ones((2, 0)), {}, "empty"),
        (np.array(["a"]), {}, "dtype"),
        (np.array([1j]), {}, "complex"),
        (np.array(["2020-01-01"], "datetime64[D]"), {}, "datetime"),
    ],
)
def test_unusable_data_are_named(data, options, message):
    with pytest.raises(DataError, match=message):
        build_objective(data, "gaussian", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "cauchy"}, "Unknown loss"),
        ({"loss": Gamma}, r"loss is the class Gamma, expected an object: write Gamma\(\)"),
        ({"loss": 3}, "loss must be a name or a Loss"),
        ({"l2_reg": -1.0}, "l2_reg"),
        ({"l2_reg": np.nan}, "l2_reg"),
        ({"l2_reg": "much"}, "l2_reg"),
        ({"l2_reg": {"main": 1.0}}, "l2_reg has no part 'main'"),
        ({"l2_reg": {"factors": -1.0}}, "l2_reg"),
        ({"n_threads": 0}, "n_threads"),
        ({"n_threads": 1.5}, "n_threads"),
        ({"n_threads": True}, "n_threads"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ParameterError, match=message):
        build_objective(np.ones((2, 2)), **({"loss": "gaussian"} | options))


@pytest.mark.parametrize("kind", ["dense", "missing", "listed"])
def test_a_survey_is_the_same_for_any_number_of_threads(kind, rng):
    x = rng.poisson(2.0, (70, 60, 50)).astype(float)
    weights = rng.uniform(0, 2, x.shape) * (rng.random(x.shape) > 0.2)
    data = {
        "dense": lambda: DenseTensor(x),
        "missing": lambda: DenseTensor(x, entry_weights=weights),
        "listed": lambda: ObservedTensor(np.argwhere(np.ones(x.shape)), x.ravel(), x.shape),
    }[kind]
    loss = Poisson()
    assert survey(data(), loss, 1) == survey(data(), loss, 3)
    x[[3, 69], [5, 2], [7, 4]] = -1.0
    for n_threads in (1, 3):
        with pytest.raises(DomainError, match=r"-1.0 at subscript \(3, 5, 7\)"):
            survey(data(), loss, n_threads)
