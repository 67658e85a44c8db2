import copy
import pickle
import sys

import numpy as np
import pytest
from helpers import central_difference, random_factors
from numpy.testing import assert_allclose

from gcp import Interval, ParameterError, build_objective, custom_loss, fit_gcp

NONNEGATIVE = Interval(low=0.0)


def poisson(x, m):
    return m - x * np.log(m + 1e-10)


def logcosh_by_numpy(x, m):
    return np.log(np.cosh(x - m))


def test_a_formula_equal_to_a_built_in_loss_gives_the_same_objective(rng):
    data = rng.poisson(3.0, (5, 4, 3))
    factors = random_factors((5, 4, 3), 2, rng, positive=True)
    loss = custom_loss(poisson, data_domain=Interval(0, integer=True), model_domain=NONNEGATIVE)
    value, grad = build_objective(data, loss).value_and_grad(factors)
    expected, expected_grad = build_objective(data, "poisson").value_and_grad(factors)
    assert_allclose(value, expected, rtol=1e-9)
    for a, b in zip(grad, expected_grad, strict=True):
        assert_allclose(a, b, rtol=1e-7)


def test_a_given_derivative_is_used_and_checked(rng):
    loss = custom_loss(logcosh_by_numpy, lambda x, m: np.tanh(m - x))
    x, m = rng.normal(size=(2, 20))
    assert_allclose(loss.deriv(x, m), np.tanh(m - x), rtol=1e-12)
    assert_allclose(loss.curvature(x, m), 1 / np.cosh(m - x) ** 2, rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, m: np.tanh(x - m),
        lambda x, m: 2 * np.tanh(m - x),
        lambda x, m: np.tanh(m - x) + 0.01,
        lambda x, m: 0 * m,
        lambda x, m: np.nan * m,
    ],
    ids=["sign", "factor", "offset", "zero", "nan"],
)
def test_a_wrong_derivative_is_refused_before_any_fit(wrong):
    with pytest.raises(ParameterError, match="not the derivative"):
        custom_loss(logcosh_by_numpy, wrong)


def test_the_negative_binomial_gradient_of_other_packages_is_refused():
    r = 2.0
    with pytest.raises(ParameterError, match="not the derivative"):
        custom_loss(
            lambda x, m: (r + x) * np.log1p(m) - x * np.log(m + 1e-10),
            lambda x, m: (r + 1) / (1 + m) - x / (m + 1e-10),
            data_domain=Interval(0, integer=True),
            model_domain=NONNEGATIVE,
        )


def test_a_formula_with_branches_needs_a_derivative():
    with pytest.raises(ParameterError, match=r"numpy\.where"):
        custom_loss(lambda x, m: m if m > 0 else x)
    with pytest.raises(ParameterError, match="math"):
        custom_loss(lambda x, m: __import__("math").exp(m))
    with pytest.raises(ParameterError, match=r"'arcsinh'.* sinh, cosh.* erf, gammaln"):
        custom_loss(lambda x, m: np.arcsinh(x - m))


@pytest.mark.parametrize("good", [None, lambda x, m: np.where(abs(x - m) < 1, m - x, np.sign(m - x))])
def test_a_kinked_loss_passes(good):
    loss = custom_loss(
        lambda x, m: np.where(np.abs(x - m) < 1, 0.5 * (x - m) ** 2, np.abs(x - m) - 0.5), good
    )
    assert_allclose(loss.deriv([0.0, 0.0], [0.4, 3.0]), [0.4, 1.0])


def test_numpy_fallback_agrees_with_the_compiled_formula(rng):
    data = rng.normal(size=(6, 5, 4))
    weights = rng.integers(0, 3, data.shape)
    factors = random_factors(data.shape, 2, rng)
    square = custom_loss(lambda x, m: (x - m) ** 2)
    through_numpy = custom_loss(
        lambda x, m: np.real((x - m) ** 2 + 0j), lambda x, m: np.real(2 * (m - x) + 0j)
    )
    assert square.formula.compiled
    assert not through_numpy.formula.compiled
    one = build_objective(data, square, entry_weights=weights).value_and_grad(factors)
    two = build_objective(data, through_numpy, entry_weights=weights).value_and_grad(factors)
    assert_allclose(one[0], two[0], rtol=1e-12)
    for a, b in zip(one[1], two[1], strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_saturated_value_by_search():
    loss = custom_loss(poisson, data_domain=NONNEGATIVE, model_domain=NONNEGATIVE)
    x = np.array([0.0, 0.5, 3.0, 40.0, 3.0])
    least = np.array([0.0, *(v - v * np.log(v) for v in x[1:])])
    assert_allclose(loss.saturated_value(x), least, atol=1e-8)
    assert_allclose(loss.saturated(x[1:]), x[1:], rtol=1e-5)


def test_domains_bind_data_and_factors(rng):
    loss = custom_loss(poisson, data_domain=NONNEGATIVE, model_domain=NONNEGATIVE, name="my-poisson")
    with pytest.raises(ValueError, match=r"my-poisson.*\[0, inf\).*-1\.0 at subscript \(0, 1\)"):
        fit_gcp(np.array([[1.0, -1.0]]), 1, loss=loss)
    result = fit_gcp(rng.poisson(2.0, (6, 5)), 2, loss=loss, random_state=0)
    assert all((a >= 0).all() for a in result.factors)


def test_mean_and_link_reach_predict_and_the_start(rng):
    loss = custom_loss(lambda x, m: np.exp(m) - x * m, mean=np.exp, link=np.log, name="exp")
    data = rng.poisson(6.0, (8, 7, 6))
    result = fit_gcp(data, 2, loss=loss, random_state=0)
    assert_allclose(result.predict(), np.exp(result.model_values()))
    assert_allclose(result.predict().mean(), data.mean(), rtol=0.05)
    same = fit_gcp(data, 2, loss="poisson-log", init=result)
    assert_allclose(same.objective, result.objective, rtol=1e-6)


def test_a_custom_loss_does_not_sample_and_has_no_likelihood(rng):
    loss = custom_loss(lambda x, m: (x - m) ** 4)
    with pytest.raises(ParameterError, match="distribution"):
        loss.sample(np.ones(3), rng)
    with pytest.raises(ParameterError, match="likelihood"):
        loss.log_likelihood(1.0, 1.0)


def test_numbers_captured_by_the_formula_are_part_of_it(rng):
    x, m = rng.normal(size=(2, 9))
    factors = [np.ones((9, 1))]
    for scale in (1.0, 3.0):  # the second must not reuse what was compiled for the first
        loss = custom_loss(lambda x, m, scale=scale: scale * (x - m) ** 2)
        assert_allclose(build_objective(x, loss).value_and_grad(factors)[0], scale * np.sum((x - 1) ** 2))
        assert_allclose(
            loss.deriv(x, m), central_difference(lambda t, loss=loss: loss.value(x, t), m), rtol=1e-7
        )


def test_zero_branch_written_with_equality_is_right_or_refused():
    # x == 0 is the natural way to write the limit of x log m
    try:
        loss = custom_loss(lambda x, m: np.where(x == 0, m, m - x * np.log(m)), model_domain=NONNEGATIVE)
    except ParameterError:
        return
    assert_allclose(loss.value([0.0, 2.0], [0.0, 3.0]), [0.0, 3 - 2 * np.log(3)])
    assert_allclose(loss.deriv([0.0, 2.0], [0.0, 3.0]), [1.0, 1 / 3])


def test_branch_written_with_inequality_is_right_or_refused():
    try:
        loss = custom_loss(lambda x, m: np.where(x != 0, 3 * m, m))
    except ParameterError:
        return
    assert_allclose(loss.deriv([0.0, 1.0], [0.5, 0.5]), [1.0, 3.0])


def test_constant_in_m_is_allowed():
    loss = custom_loss(lambda x, m: x * x + 0 * m)
    assert_allclose(loss.deriv([1.0, 2.0], [3.0, 4.0]), 0)


@pytest.mark.parametrize("data", [np.zeros((4, 3)), np.full((4, 3), 3.0), np.arange(12.0).reshape(4, 3)])
@pytest.mark.parametrize(
    "domain", [Interval(low=1.0), Interval(high=2.0), Interval(low=-1.0, high=1.0)], ids=str
)
def test_the_model_stays_in_a_domain_that_does_not_start_at_zero_or_the_domain_is_refused(data, domain):
    try:
        loss = custom_loss(lambda x, m: (x - m) ** 2, model_domain=domain)
        result = fit_gcp(data, 1, loss=loss, random_state=0)
    except ParameterError:
        return
    assert domain.contains(result.model_values()).all()


# --- pickles ---------------------------------------------------------------------------------------------------


def test_a_result_with_a_custom_loss_pickles_with_its_functions(rng):
    power = 4
    loss = custom_loss(lambda x, m: (x - m) ** power, mean=lambda m: m + 1, link=lambda mean: mean - 1)
    result = fit_gcp(rng.normal(size=(4, 3)), 1, loss=loss, random_state=0)
    again = pickle.loads(pickle.dumps(result))
    assert again.loss.value(3.0, 1.0) == 16
    assert again.loss.deriv(3.0, 1.0) == -32
    assert np.array_equal(again.predict(), result.predict())
    assert repr(again) == repr(result)


def test_without_cloudpickle_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    loss = custom_loss(lambda x, m: (x - m) ** 4, name="fourth")
    with pytest.raises(ParameterError, match=r"The fourth loss .*pip install cloudpickle.*result\.save"):
        pickle.dumps(loss)
    assert copy.deepcopy([loss])[0] is loss
