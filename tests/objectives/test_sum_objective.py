"""The sum of several losses, each over its positions of a mode, against the same sum made otherwise."""

import numpy as np
import pytest
from scipy import optimize

import gcp
from gcp import (
    DenseTensor,
    DomainError,
    Gaussian,
    ObservedTensor,
    ParameterError,
    SeveralLosses,
    SparseTensor,
)
from gcp.objectives.features import Feature
from gcp.testing.agreement import central_difference

SHAPE = (7, 5, 6)
LOSSES = {
    2: {0: "gaussian", 1: "gamma", 3: gcp.NegativeBinomial(r=3.0), 4: "bernoulli-logit", None: "poisson"}
}
KINDS = ("dense", "weighted", "observed", "sparse")


@pytest.fixture
def data(rng):
    """Data of six variables under five losses, with zeros among counts, and factors inside all bounds."""
    factors = [rng.uniform(0.3, 1.2, (size, 2)) for size in SHAPE]
    factors[2][[0, 4]] *= [[1.0, -1.0]]
    m = np.einsum("ir,jr,kr->ijk", *factors)
    x = rng.poisson(np.abs(m)).astype(float)
    x[..., 0] = rng.normal(m[..., 0], 0.4)
    x[..., 1] = rng.gamma(3.0, np.abs(m[..., 1]) / 3)
    x[..., 4] = rng.random(SHAPE[:2]) < 1 / (1 + np.exp(-m[..., 4]))
    return x, factors


def as_kind(x, kind, rng):
    """The same data in a kind of tensor, and the weights of all cells."""
    w = np.ones(x.shape)
    if kind == "dense":
        return x, w
    if kind == "weighted":
        w = rng.uniform(0.5, 2.0, x.shape) * (rng.random(x.shape) < 0.8)
        return DenseTensor(x, entry_weights=w), w
    if kind == "observed":
        keep = rng.random(x.shape) < 0.6
        return ObservedTensor(np.argwhere(keep), x[keep], x.shape), keep.astype(float)
    subs = np.argwhere(x != 0)
    return SparseTensor(subs, x[x != 0], x.shape), w


def direct(x, w, loss, factors):
    """The same sum, cell by cell, by the loss of cells."""
    m = np.einsum("ir,jr,kr->ijk", *factors)
    own = loss.at(np.arange(SHAPE[2])[None, None])
    return float(np.sum(np.where(w > 0, w * own.value(np.where(w > 0, x, 1.0), m), 0.0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("balanced", [True, False])
def test_value_is_the_sum_over_cells_and_gradient_its_derivative(data, kind, balanced, rng):
    x, factors = data
    tensor, w = as_kind(x, kind, rng)
    numbers = (0.3, 2.0, 1.0, 1.0, 1.0, 1.0) if balanced else None
    given = SeveralLosses(2, LOSSES[2], balanced=balanced, parameters=numbers)
    objective = gcp.build_objective(tensor, given)
    value, grad = objective.value_and_grad(factors)
    assert value == pytest.approx(direct(x, w, objective.loss, factors), rel=1e-12)
    step = [rng.standard_normal(a.shape) for a in factors]

    def along(t):
        return objective.value_and_grad([a + t * b for a, b in zip(factors, step, strict=True)])[0]

    slope = central_difference(np.vectorize(along), np.zeros(1))[0]
    assert sum(float(np.sum(a * b)) for a, b in zip(grad, step, strict=True)) == pytest.approx(
        slope, rel=1e-7
    )


def test_second_derivatives_are_those_of_the_gradient(data, rng):
    x, factors = data
    numbers = (0.3, 2.0, 1.0, 1.0, 1.0, 1.0)
    objective = gcp.build_objective(x, SeveralLosses(2, LOSSES[2], parameters=numbers), l2_reg=0.1)
    step = [rng.standard_normal(a.shape) for a in factors]
    ahead, back = (
        np.concatenate([g.ravel() for g in objective.value_and_grad(_moved(factors, step, t))[1]])
        for t in (1e-5, -1e-5)
    )
    found = objective.hessian(factors) @ np.concatenate([b.ravel() for b in step])
    np.testing.assert_allclose(found, (ahead - back) / 2e-5, rtol=1e-5, atol=1e-5)


def _moved(factors, step, t):
    return [a + t * b for a, b in zip(factors, step, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_curvature_is_that_of_one_loss_where_all_are_the_same(data, kind, rng):
    x, factors = data
    x = np.round(np.abs(x))
    factors = [np.abs(a) for a in factors]
    tensor, _ = as_kind(x, kind, rng)
    plain = gcp.build_objective(tensor, "poisson")
    several = gcp.build_objective(tensor, {2: {0: "poisson", None: gcp.Poisson()}})
    for one, other in zip(plain.value_and_grad(factors)[1], several.value_and_grad(factors)[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    assert several.saturated_value == pytest.approx(plain.saturated_value, rel=1e-12)
    if kind in ("dense", "weighted"):
        *_, a = plain.value_grad_and_curvature(factors)
        *_, b = several.value_grad_and_curvature(factors)
        np.testing.assert_allclose(a.rows, b.rows, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_model_is_the_best_constant_of_every_position(data, kind, rng):
    x, _ = data
    tensor, w = as_kind(x, kind, rng)
    numbers = (0.3, 2.0, 1.0, 1.0, 1.0, 1.0)
    objective = gcp.build_objective(tensor, SeveralLosses(2, LOSSES[2], parameters=numbers))
    total = 0.0
    for k in range(SHAPE[2]):
        own = objective.loss.at(np.array(k))
        keep = w[..., k] > 0

        def of(m, own=own, keep=keep, k=k):
            return float(w[..., k][keep] @ own.value(x[..., k][keep], np.full(keep.sum(), m)))

        low = 1e-6 if objective.loss.nonnegative[k] else -20.0
        total += optimize.minimize_scalar(
            of, bounds=(low, 20.0), method="bounded", options={"xatol": 1e-10}
        ).fun
    assert objective.null_value == pytest.approx(total, rel=1e-8)


def test_losses_without_a_closed_constant_have_their_null_found(rng):
    x = rng.standard_t(3, (9, 8, 4))
    losses = {
        2: {
            None: gcp.StudentT(scale=1.0, dof=3.0),
            0: gcp.Ordinal(n_levels=3, first=0, thresholds=(-1.0, 1.0)),
        }
    }
    x[..., 0] = rng.integers(0, 3, (9, 8))
    objective = gcp.build_objective(x, losses)
    for k in range(4):
        own = objective.loss.at(np.array(k))
        best = optimize.minimize_scalar(
            lambda m, own=own, k=k: own.value(x[..., k], m).sum(), bounds=(-5, 5)
        ).fun
        at = np.full((9, 8), objective.null_constants[k])
        assert own.value(x[..., k], at).sum() == pytest.approx(best, rel=1e-6)


def test_data_outside_a_domain_are_named_where_they_are(data):
    x, _ = data
    x = x.copy()
    x[3, 1, 5] = -2.0
    with pytest.raises(DomainError, match=r"poisson.*-2.0 at subscript \(3, 1, 5\)"):
        gcp.fit_gcp(x, 1, loss=LOSSES)
    x[3, 1, 5], x[0, 0, 4] = 0.0, 0.5
    with pytest.raises(DomainError, match=r"bernoulli-logit.*0.5 at subscript \(0, 0, 4\)"):
        gcp.fit_gcp(x, 1, loss=LOSSES)


def test_positions_of_which_nothing_is_known_have_no_gradient(data):
    x, factors = data
    numbers = (0.3, 2.0, 1.0, 1.0, 1.0, 1.0)
    x = x.copy()
    x[..., [0, 5]] = np.nan
    objective = gcp.build_objective(x, SeveralLosses(2, LOSSES[2], parameters=numbers))
    value, grad = objective.value_and_grad(factors)
    assert np.isfinite(value)
    assert not grad[2][[0, 5]].any()
    assert grad[2][[1, 2, 3, 4]].all()


def test_float32_data_have_gradients_of_their_type(data):
    x, factors = data
    objective = gcp.build_objective(
        x.astype(np.float32), SeveralLosses(2, LOSSES[2], parameters=(0.3, 2.0, 1.0, 1.0, 1.0, 1.0))
    )
    assert {g.dtype for g in objective.value_and_grad([a.astype(np.float32) for a in factors])[1]} == {
        np.dtype(np.float32)
    }


def test_known_dispersions_are_weights_of_entries(data, rng):
    x, factors = data
    variances = rng.uniform(0.1, 3.0, SHAPE[2])
    weighted = gcp.build_objective(x, "gaussian", entry_weights=np.broadcast_to(0.5 / variances, SHAPE))
    by = gcp.build_objective(x, Gaussian(variance=tuple(variances), by=2))
    several = gcp.build_objective(x, SeveralLosses(2, ["gaussian"] * 6, parameters=variances))
    value, grad = several.value_and_grad(factors)
    for other in (weighted, by):
        assert value == pytest.approx(other.value_and_grad(factors)[0], rel=1e-12)
        for a, b in zip(grad, other.value_and_grad(factors)[1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_features_of_a_sum(data, rng):
    x, _ = data
    losses = SeveralLosses(2, LOSSES[2], balanced=False)
    for kind in KINDS:
        objective = gcp.build_objective(as_kind(x, kind, rng)[0], losses)
        assert not objective.lacks(Feature.CURVATURE)
        assert "plbfgs" in objective.lacks(Feature.ROWS)
    with pytest.raises(ParameterError, match="Several losses"):
        objective.row_wise()


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ({2: {0: "gaussian"}}, "5 of the 6 positions .* have no loss: 1, 2, 3, 4, 5"),
        ({2: {7: "gaussian", None: "poisson"}}, "does not have: 7"),
        ({2: ["poisson"] * 5}, "5 losses for the mode .* of 6 positions"),
        ({2: {None: "huber"}}, "no dispersion by which its unit"),
        ({2: {None: gcp.StudentT(scale="estimate")}}, "give a number"),
        ({2: {}}, "is empty"),
        ({2: "gaussian"}, "as a dict by label"),
        ({}, "one mode"),
        ({"nowhere": {None: "poisson"}}, "Unknown mode"),
        ({2: {None: "gauss"}}, "Unknown loss"),
        ({2: {None: Gaussian(variance="estimate", by=1)}}, "without by"),
    ],
)
def test_what_is_no_loss_for_each_position_is_refused(data, losses, words):
    with pytest.raises(ParameterError, match=words):
        gcp.build_objective(np.abs(np.round(data[0])), losses)
