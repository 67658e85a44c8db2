"""Positions without entries: fits leave them out where that changes nothing."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.losses import get_loss
from gcp.objectives import compaction, zero_policy
from gcp.objectives.compaction import Compaction
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.problem import Problem

SHAPE, WIDE = (6, 5, 4), (90, 5, 300)


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch):
    monkeypatch.setattr(compaction, "_LEAST", 0)


@pytest.fixture
def spread(rng):
    """Entries in a small shape, all of whose positions have some; and where its positions are in a wide one."""
    data = rng.poisson(1.5, SHAPE)
    assert all(data.any(axis=tuple(set(range(3)) - {n})).all() for n in range(3))
    positions = [
        np.sort(rng.choice(wide, size, replace=False)) for wide, size in zip(WIDE, SHAPE, strict=True)
    ]
    return data, positions


def tensors(kind, data, positions):
    subs, values = np.argwhere(data), data[data > 0].astype(float)
    moved = np.stack([positions[n][subs[:, n]] for n in range(3)], axis=1)
    return kind(subs, values, SHAPE), kind(moved, values, WIDE)


@pytest.mark.parametrize(
    ("kind", "loss", "options"),
    [
        (gcp.SparseTensor, "poisson", {}),
        (gcp.SparseTensor, "gaussian", {"l2_reg": 0.1}),
        (gcp.SparseTensor, "poisson", {"solver": "lbfgsb"}),
        (gcp.SparseTensor, "huber", {}),
        (gcp.SparseTensor, "negative-binomial", {"l2_reg": 0.1}),
        (gcp.ObservedTensor, "gaussian", {"l2_reg": 0.1}),
        (gcp.ObservedTensor, "poisson-log", {"l2_reg": 0.1}),
        (gcp.ObservedTensor, "gaussian", {"bounds": (0, None)}),
    ],
)
def test_a_fit_is_that_of_the_positions_with_entries(kind, loss, options, spread):
    small, wide = tensors(kind, *spread)
    options = {"loss": loss, "random_state": 0, **options}
    truth, found = gcp.fit_gcp(small, 2, **options), gcp.fit_gcp(wide, 2, **options)
    assert found.shape == WIDE
    assert found.objective == truth.objective
    assert "can identify" not in found.message
    assert found.weights.tolist() == truth.weights.tolist()
    for a, own, fitted, k in zip(found.factors, truth.factors, found.fitted_factors, spread[1], strict=True):
        assert np.array_equal(a[k], own)
        assert not np.delete(a, k, axis=0).any()
        assert not np.delete(fitted, k, axis=0).any()
    is_marked = kind is gcp.ObservedTensor and "l2_reg" not in options
    unknown = {name: len(each) for name, each in found.unknown.items()}
    assert unknown == ({"mode_0": 84, "mode_2": 296} if is_marked else {})


@pytest.mark.parametrize("kind", [gcp.SparseTensor, gcp.ObservedTensor])
def test_the_rest_of_the_result_is_that_of_all_positions(kind, spread, monkeypatch):
    _, wide = tensors(kind, *spread)
    options = {"loss": "poisson", "l2_reg": 0.01, "random_state": 0, "tol": 1e-13, "n_starts": 5}
    found = gcp.fit_gcp(wide, 2, **options)
    monkeypatch.setattr(Compaction, "of", classmethod(lambda cls, problem: None))
    truth = gcp.fit_gcp(wide, 2, **options)
    assert_allclose(found.objective, truth.objective, rtol=1e-7)
    assert (found.null_objective, found.saturated_objective) == (
        truth.null_objective,
        truth.saturated_objective,
    )
    assert_allclose(found.training_deviance_explained, truth.training_deviance_explained, rtol=1e-6)
    assert found.labels.names == truth.labels.names
    assert_allclose(
        found.predict(np.argwhere(np.ones((3, 3, 3)))),
        truth.predict(np.argwhere(np.ones((3, 3, 3)))),
        atol=1e-3,
    )


def test_the_word_about_the_rank_is_of_the_whole_shape():
    tensor = gcp.SparseTensor([[3, 0, 0], [50, 70, 1], [90, 3, 1]], np.array([1.0, 2.0, 3.0]), (100, 100, 2))
    found = gcp.fit_gcp(
        tensor, 9, loss="poisson", random_state=0, n_iter_max=3
    )  # 3 x 3 x 2 cells have entries
    assert found.shape == (100, 100, 2)
    assert "can identify" not in found.message


def test_labels_and_a_checkpoint_are_those_of_the_whole(spread, tmp_path):
    subs, values = np.argwhere(spread[0]), spread[0][spread[0] > 0].astype(float)
    moved = np.stack([spread[1][n][subs[:, n]] for n in range(3)], axis=1)
    labels = gcp.ModeLabels(["user", "day", "item"], [[f"u{k}" for k in range(90)], None, None])
    wide = gcp.SparseTensor(moved, values, WIDE, labels=labels)
    options = {"loss": "poisson", "random_state": 0}
    truth = gcp.fit_gcp(wide, 2, **options)
    assert truth.labels.names == ("user", "day", "item")
    assert len(truth.to_frames()["user"]) == 90
    path = tmp_path / "fit.checkpoint"
    gcp.fit_gcp(wide, 2, **options, checkpoint=path, n_iter_max=3)
    found = gcp.fit_gcp(wide, 2, **options, checkpoint=path)
    assert found.objective == truth.objective
    assert found.shape == WIDE


@pytest.mark.parametrize(
    ("kind", "loss", "options"),
    [
        (gcp.SparseTensor, "poisson", {"tied_modes": ()}),
        (gcp.SparseTensor, "bernoulli-odds", {"bounds": (0.1, None)}),  # rows of 0 are outside
        (gcp.SparseTensor, "poisson", {"bounds": (1e-3, None)}),
        (gcp.SparseTensor, "poisson", {"main_effects": True}),
        (gcp.SparseTensor, "poisson", {"dirichlet_reg": 0.1}),
        (gcp.SparseTensor, "poisson-log", {}),  # the loss of a zero falls for ever
        (gcp.SparseTensor, "beta-divergence", {}),  # a zero costs something at a model of 0
    ],
)
def test_where_rows_of_zero_are_not_best_all_positions_stay(kind, loss, options, spread):
    data = np.minimum(spread[0], 1) if loss == "bernoulli-odds" else spread[0]
    _, wide = tensors(kind, data, spread[1])
    own = {name: value for name, value in options.items() if name != "dirichlet_reg"}
    penalties = as_penalties(dirichlet_reg=options.get("dirichlet_reg", 0.0))
    problem = Problem.of(wide, 2, get_loss(loss), penalties=penalties, **own)
    assert (Compaction.of(problem) is None) is (options != {"tied_modes": ()})


def test_tied_modes_keep_what_either_has(rng):
    subs = np.array([[3, 50, 0], [50, 70, 1], [70, 3, 1], [90, 3, 0]])
    tensor = gcp.SparseTensor(subs, np.array([1.0, 2.0, 3.0, 1.0]), (100, 100, 2))
    problem = Problem.of(tensor, 1, get_loss("poisson"), tied_modes=[(0, 1)])
    found = Compaction.of(problem)
    assert [k.tolist() for k in found.positions] == [[3, 50, 70, 90], [3, 50, 70, 90], [0, 1]]
    own = found.compacted(problem)
    assert own.tensor.subs.tolist() == [[0, 1, 0], [1, 2, 1], [2, 0, 1], [3, 0, 0]]
    result = gcp.fit_gcp(tensor, 1, loss="poisson", tied_modes=[(0, 1)], random_state=0)
    assert np.array_equal(result.factors[0], result.factors[1])


def test_a_callback_sees_all_positions(spread):
    _, wide = tensors(gcp.SparseTensor, *spread)
    shapes = set()
    gcp.fit_gcp(
        wide,
        2,
        loss="poisson",
        random_state=0,
        callback=lambda state: shapes.update(len(a) for a in state.factors),
    )
    assert shapes == set(WIDE)


# --- zeros that want another model than 0 --------------------------------------------------------------------------


@pytest.fixture
def out_of_reach(monkeypatch):
    monkeypatch.setattr(zero_policy, "_MOST_CELLS", 1000)


def problem_of(tensor, loss="bernoulli-logit", l2_reg=0.0, **options):
    return Problem.of(tensor, 2, get_loss(loss), penalties=as_penalties(l2_reg=l2_reg), **options)


def cost(loss, data, factors, l2_reg):
    """The objective by whole arrays."""
    model = np.einsum("ir,jr,kr->ijk", *factors)
    ridge = 0.5 * l2_reg * sum((a**2).sum() for a in factors)
    return float(get_loss(loss).value(data, model).sum() + ridge)


@pytest.mark.parametrize("loss", ["bernoulli-logit", "poisson-log", "negative-binomial-logit"])
def test_one_row_stands_for_all_positions_without_entries(loss, spread, rng, out_of_reach):
    data = np.minimum(spread[0], 1) if loss == "bernoulli-logit" else spread[0]
    _, wide = tensors(gcp.SparseTensor, data, spread[1])
    problem = problem_of(wide, loss, l2_reg=0.3)
    found = Compaction.of(problem)
    own = found.compacted(problem)
    assert own.tensor.shape == (7, 5, 5)
    rows = [rng.uniform(0.1, 1.0, (size, 2)) for size in own.tensor.shape]
    whole = found.whole(rows)
    for a, small, k in zip(whole, rows, spread[1], strict=True):
        assert np.array_equal(a[k], small[: len(k)])
        assert (np.delete(a, k, axis=0) == small[-1]).all()
    dense = np.zeros(WIDE)
    dense[np.ix_(*spread[1])] = data
    every = own.tensor.to_dense()
    weights = every.entry_weights
    value = float((weights * get_loss(loss).value(every.values, np.einsum("ir,jr,kr->ijk", *rows))).sum())
    assert_allclose(value + own.penalties.value(rows), cost(loss, dense, whole, 0.3), rtol=1e-12)
    grad = [np.zeros_like(a) for a in rows]
    own.penalties.add_to(0.0, grad, rows)
    for n, (g, k) in enumerate(zip(grad, spread[1], strict=True)):
        assert_allclose(g[-1], 0.3 * (WIDE[n] - len(k)) * rows[n][-1] if n != 1 else 0.3 * rows[1][-1])


@pytest.mark.parametrize(("loss", "l2_reg"), [("bernoulli-logit", 0.5), ("poisson-log", 0.0)])
def test_a_fit_from_samples_ends_near_the_minimum_of_all_cells(loss, l2_reg, rng, monkeypatch):
    shape = (60, 50, 40)
    subs = np.unique(rng.integers(0, (12, 10, 8), (150, 3)) * (5, 5, 5), axis=0)
    tensor = gcp.SparseTensor(subs, np.ones(len(subs)), shape)
    dense = tensor.to_dense().values
    options = {"loss": loss, "l2_reg": l2_reg, "random_state": 0}
    truth = gcp.fit_gcp(tensor, 1, **options)
    monkeypatch.setattr(zero_policy, "_MOST_CELLS", 1000)
    found = gcp.fit_gcp(tensor, 1, **options)
    assert found.settings["solver"]["method"] == "Adam"
    assert found.problem.penalties == truth.problem.penalties
    exact = cost(loss, dense, found.fitted_factors, l2_reg)
    assert_allclose(found.objective, exact, rtol=1e-2)
    assert_allclose(found.penalty, 0.5 * l2_reg * sum((a**2).sum() for a in found.fitted_factors), rtol=1e-10)
    assert exact < truth.objective + 0.01 * (truth.null_objective - truth.objective)


@pytest.mark.parametrize("kind", ["tied", "bounds", "weights", "few", "affordable"])
def test_where_rows_may_differ_all_positions_stay(kind, rng, monkeypatch):
    subs = np.unique(rng.integers(0, 20, (40, 3)), axis=0)
    values, options = np.ones(len(subs)), {}
    weights = [np.linspace(0.5, 1.0, 100), None, None] if kind == "weights" else None
    shape = (20, 20, 20) if kind == "few" else (100, 100, 100)
    if kind == "tied":
        options["tied_modes"] = [(0, 1)]
    if kind == "bounds":
        low = np.full((100, 2), -np.inf)
        low[60] = -1.0
        options["bounds"] = [(low, np.inf), (-np.inf, np.inf), (-np.inf, np.inf)]
    monkeypatch.setattr(zero_policy, "_MOST_CELLS", 2**28 if kind == "affordable" else 1000)
    assert (
        Compaction.of(problem_of(gcp.SparseTensor(subs, values, shape, mode_weights=weights), **options))
        is None
    )
    plain = gcp.SparseTensor(subs, values, (100, 100, 100))
    assert (Compaction.of(problem_of(plain)) is None) == (kind == "affordable")
