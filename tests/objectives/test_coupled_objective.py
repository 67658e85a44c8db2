"""The sum over tensors that share factors, against one tensor, sums made by hand, and differences."""

import numpy as np
import pytest

import gcp
from gcp import DenseTensor, ModeLabels, ObservedTensor, SparseTensor
from gcp.objectives.coupled_problem import CoupledProblem
from gcp.objectives.features import Feature
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.views.curvature import GaussNewton
from gcp.tensors.coupled_tensors import CoupledTensors
from gcp.testing.agreement import central_difference

KINDS = ("dense", "weighted", "observed", "sparse")


def as_kind(x, kind, labels, seed=0):
    """The same data in a kind of tensor."""
    rng = np.random.default_rng(seed)
    if kind == "dense":
        return DenseTensor(x, labels=labels)
    if kind == "weighted":
        w = rng.uniform(0.5, 2.0, x.shape) * (rng.random(x.shape) < 0.8)
        return DenseTensor(x, entry_weights=w, labels=labels)
    if kind == "observed":
        keep = rng.random(x.shape) < 0.6
        return ObservedTensor(np.argwhere(keep), x[keep], x.shape, labels=labels)
    return SparseTensor(np.argwhere(x != 0), x[x != 0], x.shape, labels=labels)


def labelled(names, *coords):
    return ModeLabels(names, coords)


def coupled(tensors, losses, rank=2, weights=None, **options):
    losses = {name: gcp.get_loss(loss) if isinstance(loss, str) else loss for name, loss in losses.items()}
    weights = dict.fromkeys(tensors, 1.0) if weights is None else weights
    return CoupledProblem.coupling(CoupledTensors.of(tensors), rank, losses, weights=weights, **options)


SUBJECTS = [f"s{k}" for k in range(9)]


@pytest.fixture
def spikes(rng):
    """Counts by subject, neuron and time; two subjects of the traits are not among them."""
    return rng.poisson(1.5, (7, 5, 6)).astype(float), labelled(
        ["subject", "neuron", "time"], SUBJECTS[:7], None, None
    )


@pytest.fixture
def traits(rng):
    """Measurements of subjects in another order, one of which has no counts, by trait."""
    at = [8, 3, 0, 5, 1]
    return rng.standard_normal((5, 4)), labelled(["subject", "trait"], [SUBJECTS[k] for k in at], None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["gaussian", "poisson"])
def test_two_parts_of_a_tensor_stacked_are_that_tensor(kind, loss, rng):
    """The same value, gradient and Gauss-Newton matrix: all modes but one are shared."""
    x = rng.poisson(1.3, (6, 5, 4)).astype(float)
    names = ["a", "b", "c"]
    whole = as_kind(x, kind, labelled(names, list("uvwxyz"), None, None))
    parts = {}
    for name, at in (("first", [0, 3]), ("second", [1, 2, 4, 5])):
        labels = labelled(names, np.array(list("uvwxyz"))[at], None, None)
        if kind == "dense" or kind == "sparse":
            parts[name] = as_kind(x[at], kind, labels)
        elif kind == "weighted":
            parts[name] = DenseTensor(x[at], entry_weights=whole.entry_weights[at], labels=labels)
        else:
            dense = np.full(x.shape, np.nan)
            dense[tuple(whole.subs.T)] = whole.values
            keep = ~np.isnan(dense[at])
            parts[name] = ObservedTensor(np.argwhere(keep), dense[at][keep], dense[at].shape, labels=labels)
    # the mode "a" has no label in common: the parts are coupled by b and c under two names of it
    one, two = parts["first"], parts["second"]
    one.labels, two.labels = (
        labelled([f"a{k}", "b", "c"], own.labels.coords[0], None, None) for k, own in enumerate((one, two))
    )
    problem = coupled({"first": one, "second": two}, {"first": loss, "second": loss})
    assert problem.labels.names == ("a0", "b", "c", "a1")
    factors = [rng.uniform(0.2, 1.0, (size, 2)) for size in (6, 5, 4)]
    own = [factors[0][[0, 3]], factors[1], factors[2], factors[0][[1, 2, 4, 5]]]
    direct = gcp.build_objective(whole, loss)
    value, grad = problem.objective.value_and_grad(own)
    expected, expected_grad = direct.value_and_grad(factors)
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(grad[0], expected_grad[0][[0, 3]], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(grad[3], expected_grad[0][[1, 2, 4, 5]], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(grad[1], expected_grad[1], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(grad[2], expected_grad[2], rtol=1e-8, atol=1e-10)
    assert problem.objective.saturated_value == pytest.approx(direct.saturated_value, rel=1e-9)


@pytest.mark.parametrize("kinds", [("dense", "dense"), ("sparse", "weighted"), ("observed", "observed")])
@pytest.mark.parametrize("penalty", ["none", "l2", "modes"])
def test_gradients_are_differences_of_values(kinds, penalty, spikes, traits, rng):
    given = {
        "none": as_penalties(),
        "l2": as_penalties(l2_reg=0.3),
        "modes": as_penalties(
            penalties=[gcp.penalties.Ridge("subject", 0.4), gcp.penalties.Smooth("time", 0.7)]
        ),
    }[penalty]
    tensors = {
        "spikes": as_kind(spikes[0], kinds[0], spikes[1]),
        "traits": as_kind(traits[0], kinds[1], traits[1]),
    }
    problem = coupled(
        tensors,
        {"spikes": "poisson", "traits": "gaussian"},
        weights={"spikes": 1.7, "traits": 0.6},
        penalties=given,
    )
    objective = problem.objective
    assert objective.tensor.shape == (8, 5, 6, 4)
    factors = [rng.uniform(0.2, 1.0, (size, 2)) for size in objective.tensor.shape]
    factors[3] = rng.standard_normal((4, 2))
    value, grad = objective.value_and_grad(factors)
    again, curved_grad, _ = objective.value_grad_and_curvature(factors)
    assert again == pytest.approx(value, rel=1e-12)
    for n, a in enumerate(factors):
        np.testing.assert_allclose(curved_grad[n], grad[n], rtol=1e-9, atol=1e-9)
        numeric = np.empty_like(a)
        for at in np.ndindex(a.shape):

            def along(t, n=n, at=at):
                moved = [b.copy() for b in factors]
                moved[n][at] = t
                return objective.value_and_grad(moved)[0]

            numeric[at] = central_difference(along, np.array(a[at]))
        np.testing.assert_allclose(grad[n], numeric, rtol=2e-6, atol=1e-6)


def test_second_derivatives_are_differences_of_gradients(spikes, traits, rng):
    tensors = {
        "spikes": DenseTensor(spikes[0], labels=spikes[1]),
        "traits": DenseTensor(traits[0], labels=traits[1]),
    }
    ridge = as_penalties(penalties=[gcp.penalties.Ridge("subject", 0.4)])
    objective = coupled(
        tensors,
        {"spikes": "poisson-log", "traits": "gaussian"},
        weights={"spikes": 1.7, "traits": 0.6},
        penalties=ridge,
    ).objective
    assert not objective.lacks(Feature.HESSIAN)
    factors = [0.5 * rng.standard_normal((size, 2)) for size in objective.tensor.shape]
    found = objective.hessian(factors)
    flat = np.concatenate([a.ravel() for a in factors])
    cuts = np.cumsum([a.size for a in factors])[:-1]

    def gradient(v):
        parts = [p.reshape(a.shape) for p, a in zip(np.split(v, cuts), factors, strict=True)]
        return np.concatenate([g.ravel() for g in objective.value_and_grad(parts)[1]])

    step = 1e-5
    for k in range(0, len(flat), 5):
        e = np.zeros_like(flat)
        e[k] = step
        np.testing.assert_allclose(
            found[k], (gradient(flat + e) - gradient(flat - e)) / (2 * step), rtol=1e-5, atol=1e-5
        )


def test_the_gauss_newton_matrix_is_that_of_every_tensor_added_up(rng):
    """Of squared error the matrix J'WJ is known: that of a tensor over its own rows and modes."""
    from gcp.solvers.pieces.blocks import Blocks
    from gcp.solvers.pieces.quadratic import Quadratic

    x, y = rng.standard_normal((4, 3, 2)), rng.standard_normal((3, 5))
    tensors = {
        "x": DenseTensor(x, labels=labelled(["s", "a", "b"], list("pqrt"), None, None)),
        "y": DenseTensor(y, labels=labelled(["s", "c"], list("tuq"), None)),
    }
    weights = {"x": 1.5, "y": 40.0}
    objective = coupled(tensors, {"x": "gaussian", "y": "gaussian"}, weights=weights).objective
    factors = [rng.standard_normal((size, 2)) for size in objective.tensor.shape]

    def models(v):
        parts = np.split(v, np.cumsum([a.size for a in factors])[:-1])
        s, a, b, c = (p.reshape(f.shape) for p, f in zip(parts, factors, strict=True))
        one = np.einsum("ir,jr,kr->ijk", s[:4], a, b).ravel() * np.sqrt(2 * weights["x"])
        two = (s[[3, 4, 1]] @ c.T).ravel() * np.sqrt(2 * weights["y"])
        return np.concatenate([one, two])

    flat = np.concatenate([a.ravel() for a in factors])
    jacobian = np.array([(models(flat + e) - models(flat - e)) / 2e-6 for e in 1e-6 * np.eye(len(flat))]).T
    expected = jacobian.T @ jacobian
    _, _, matrix = objective.value_grad_and_curvature(factors)
    assert isinstance(matrix, GaussNewton)
    blocks = Blocks.of(factors)
    quadratic = Quadratic(matrix, blocks, np.ones(4), 1.0)
    for _ in range(3):
        v = rng.standard_normal(len(flat))
        parts = [
            p.reshape(f.shape)
            for p, f in zip(np.split(v, np.cumsum([a.size for a in factors])[:-1]), factors, strict=True)
        ]
        product = blocks.unpack(quadratic.gauss_newton(blocks.pack(parts)))
        np.testing.assert_allclose(
            np.concatenate([p.ravel() for p in product]), expected @ v, rtol=1e-6, atol=1e-6
        )


def test_a_penalty_of_a_mode_is_that_of_every_tensor_alone(spikes, traits, rng):
    """In units of its own loss, times its weight, over the rows of all positions; and no rescaling evades it."""
    tensors = {
        "spikes": DenseTensor(spikes[0], labels=spikes[1]),
        "traits": DenseTensor(traits[0], labels=traits[1]),
    }
    losses, weights = {"spikes": "poisson", "traits": "gaussian"}, {"spikes": 2.0, "traits": 3.0}
    ridge = as_penalties(penalties=[gcp.penalties.Ridge("subject", 0.8)])
    objective = coupled(tensors, losses, weights=weights, penalties=ridge).objective
    factors = [rng.uniform(0.2, 1.0, (size, 2)) for size in objective.tensor.shape]
    s, a, b, c = factors
    curvatures = {"spikes": 1 / spikes[0].mean(), "traits": 2.0}
    means = [np.mean(f**2, axis=0) for f in (a, b, c)]
    square = np.sum(s**2, axis=0)
    expected = 0.4 * (
        2.0 * curvatures["spikes"] * square @ (means[0] * means[1])
        + 3.0 * curvatures["traits"] * square @ means[2]
    )
    assert objective.penalties.value(factors) == pytest.approx(expected, rel=1e-6)
    scaled = [5.0 * s, a / 5.0, b, c / 5.0]
    assert objective.penalties.value(scaled) == pytest.approx(expected, rel=1e-6)
