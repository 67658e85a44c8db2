"""A data kind that a user writes: it gives what it must, and `InOnePiece` answers the rest.

Truths are planted models, NumPy's sums and least squares.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import gcp
from gcp.objectives.build import objective_of
from gcp.objectives.features import Feature
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.tensors.base import Block, InOnePiece
from gcp.tensors.intake.coerce import as_tensor
from gcp.testing import check_tensor


class Plain(InOnePiece):
    """Every cell of an array of three modes, evaluated by einsum."""

    n_passes = 0

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, np.dtype(float)

    def blocks(self):
        w = self.entry_weights
        yield Block(self.values.reshape(-1), None if w is None else w.reshape(-1).astype(float), 0)

    def subscript(self, position):
        return tuple(int(i) for i in np.unravel_index(position, self.shape))

    def known_positions(self):
        return [np.ones(size, bool) for size in self.shape]

    def loss_and_mttkrps(self, formula, factors, n_threads, effects=()):
        type(self).n_passes += 1
        a, b, c = factors
        w = 1.0 if self.entry_weights is None else self.entry_weights
        m = np.einsum("ir,jr,kr->ijk", a, b, c)
        for mode, vector in enumerate(effects):
            m = m + vector.reshape([-1 if k == mode else 1 for k in range(3)])
        d = w * formula.df(self.values, m, *formula.params)
        grad = [
            np.einsum("ijk,jr,kr->ir", d, b, c),
            np.einsum("ijk,ir,kr->jr", d, a, c),
            np.einsum("ijk,ir,jr->kr", d, a, b),
        ]
        sums = [d.sum(axis=tuple(k for k in range(3) if k != n)) for n in range(3)]
        value = float((w * formula.f(self.values, m, *formula.params)).sum())
        return value, grad, sums if effects else []


class Weighted(Plain):
    """The same under entry weights, of which other tensors can be made."""

    entry_weights = None

    def __init__(self, values, entry_weights=None):
        super().__init__(values)
        self.entry_weights = entry_weights

    def known_positions(self):
        w = np.ones(self.shape) if self.entry_weights is None else self.entry_weights
        return [w.any(axis=tuple(k for k in range(3) if k != n)) for n in range(3)]

    def with_values(self, values):
        return type(self)(values, self.entry_weights)

    def with_weights(self, weights):
        return type(self)(self.values, weights)


class Listed(InOnePiece):
    """Some entries of an array, in any order."""

    kind, dtype = "observed", np.dtype(float)
    values = subs = shape = None

    def __init__(self, subs, values, shape):
        self.subs, self.values, self.shape = subs, values, shape

    def blocks(self):
        yield Block(self.values, None, 0)

    def subscript(self, position):
        return tuple(int(i) for i in self.subs[position])

    def known_positions(self):
        return [np.isin(np.arange(size), self.subs[:, n]) for n, size in enumerate(self.shape)]

    def loss_and_mttkrps(self, formula, factors, n_threads, effects=()):
        rows = [a[self.subs[:, n]] for n, a in enumerate(factors)]
        m = np.prod(rows, axis=0).sum(axis=1)
        for n, vector in enumerate(effects):
            m = m + vector[self.subs[:, n]]
        d = formula.df(self.values, m, *formula.params)
        grad = [np.zeros_like(a) for a in factors]
        for n, g in enumerate(grad):
            others = np.prod([a for k, a in enumerate(rows) if k != n], axis=0)
            np.add.at(g, self.subs[:, n], d[:, None] * others)
        sums = [np.bincount(self.subs[:, n], d, size) for n, size in enumerate(self.shape)]
        return float(formula.f(self.values, m, *formula.params).sum()), grad, sums if effects else []


@pytest.fixture
def array():
    rng = np.random.default_rng(0)
    return np.einsum("ir,jr,kr->ijk", *(rng.random((size, 2)) for size in (5, 4, 3)))


def objective(tensor):
    return objective_of(tensor, gcp.Gaussian(), as_penalties(0.0, 0.0, 0.0, ()), 1)


def test_its_objective_is_minimised_where_the_data_are(array):
    tensor = Plain(array)
    found = objective(tensor)
    assert_allclose(found.survey.mean, array.mean())
    assert_allclose(found.null_value, ((array - array.mean()) ** 2).sum())
    sizes = np.cumsum([2 * size for size in array.shape])

    def split(x):
        return [part.reshape(-1, 2) for part in np.split(x, sizes[:-1])]

    def value_and_grad(x):
        value, grad = found.value_and_grad(split(x))
        return value, np.concatenate([g.ravel() for g in grad])

    start = np.random.default_rng(1).random(sizes[-1])
    end = minimize(
        value_and_grad, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-15}
    )
    assert_allclose(np.einsum("ir,jr,kr->ijk", *split(end.x)), array, atol=1e-3)


@pytest.mark.parametrize(
    "feature", [Feature.ROWS, Feature.CURVATURE, Feature.LEAST_SQUARES, Feature.SAMPLED_ROWS]
)
def test_what_it_does_not_offer_is_lacking_and_not_an_error(array, feature):
    assert objective(Plain(array)).lacks(feature)


def test_what_needs_no_more_is_there(array):
    found = objective(Plain(array))
    assert found.is_exact_affordable
    assert found.zeros.note == ""
    assert found.bulk.mean == pytest.approx(array.mean())


def fitted(tensor, rank=2, **options):
    return gcp.fit_gcp(tensor, rank, random_state=0, **options)


def test_it_keeps_the_protocol(array):
    check_tensor(Plain(array), array)
    weights = np.random.default_rng(1).integers(0, 3, array.shape).astype(float)
    check_tensor(Weighted(array, weights), array, weights)
    check_tensor(Listed(np.argwhere(weights > 0), array[weights > 0], array.shape), array, weights > 0)


@pytest.mark.parametrize(
    ("solver", "init"),
    [
        ("auto", "random"),
        ("auto", "svd"),
        ("lbfgsb", "svd"),
        (gcp.Adam(epoch_iters=200, tol=1e-3), "svd"),  # which L-BFGS-B polishes
    ],
    ids=["auto-random", "auto-svd", "lbfgsb-svd", "adam-svd"],
)
def test_fits_find_a_planted_model(array, solver, init):
    result = fitted(Plain(array), solver=solver, init=init)
    assert_allclose(result.predict(), array, atol=1e-4)


def test_the_passes_of_a_fit_are_its_own(array):
    before = Plain.n_passes
    result = fitted(Plain(array))
    assert Plain.n_passes - before >= result.n_iter > 1


@pytest.mark.parametrize("solver", ["plbfgs", "als", "rows", "sampled-rows"])
def test_methods_that_need_more_say_what(array, solver):
    with pytest.raises(gcp.ParameterError, match=r"a kind|unlisted zeros"):
        fitted(Plain(array), solver=solver)


def test_masks_and_weights_leave_wrong_cells_out(array):
    wrong = np.random.default_rng(1).random(array.shape) < 0.1
    data = np.where(wrong, 9.0, array)
    for options in ({"mask": ~wrong}, {"entry_weights": np.where(wrong, 0.0, 2.0)}):
        result = fitted(Weighted(data), **options)
        assert_allclose(result.predict(), array, atol=1e-3)
        assert result.score(Weighted(data), **options) == pytest.approx(0.0, abs=1e-8)
    both = as_tensor(Weighted(data, 2.0 * ~wrong), mask=array < 0.5, entry_weights=np.full(array.shape, 3.0))
    assert type(both) is Weighted
    assert_allclose(both.entry_weights, 6.0 * ~wrong * (array < 0.5))


def test_main_effects_and_an_estimated_parameter():
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=size) for size in (5, 4, 3))
    additive = 1.0 + a[:, None, None] + b[None, :, None] + c
    assert_allclose(fitted(Weighted(additive), 0, main_effects=True).predict(), additive, atol=1e-4)
    mean = 5.0 * np.ones((20, 15, 10))
    counts = rng.negative_binomial(3.0, 3.0 / (3.0 + mean)).astype(float)
    result = fitted(Weighted(counts), 1, loss=gcp.NegativeBinomial(r="estimate"))
    assert result.loss.r == pytest.approx(3.0, rel=0.15)


def test_judging_gives_what_numpy_gives(array):
    noisy = array + 0.1 * np.random.default_rng(2).normal(size=array.shape)
    result, tensor = fitted(Plain(noisy)), Plain(noisy)
    errors = noisy - result.predict()
    assert result.score(tensor) == pytest.approx(-np.mean(errors**2))
    explained = 1 - np.sum(errors**2) / np.sum((noisy - noisy.mean()) ** 2)
    assert result.deviance_explained(tensor) == pytest.approx(explained)
    assert gcp.analysis.deviance(result, tensor).deviance == pytest.approx(np.sum(errors**2))
    assert_allclose(gcp.analysis.residuals(result, tensor, "response"), errors)
    of_mode = gcp.analysis.slice_deviance(result, tensor, 0).deviance
    assert_allclose(of_mode, np.sum(errors**2, axis=(1, 2)))


def test_transform_is_least_squares(array):
    result = fitted(Plain(array))
    new = np.random.default_rng(3).random((2, 4, 3))
    design = np.einsum("r,jr,kr->jkr", result.weights, *result.factors[1:]).reshape(12, 2)
    expected = np.linalg.lstsq(design, new.reshape(2, 12).T, rcond=None)[0].T
    assert_allclose(result.transform(Plain(new), 0).rows, expected, rtol=1e-6)


def test_the_estimator_takes_it(array):
    model = gcp.GCP(2, random_state=0).fit(Plain(array))
    assert model.n_features_in_ == 12
    assert_allclose(model.result_.predict(), array, atol=1e-4)
    assert_allclose(model.transform(Plain(array)), model.factors_[0], atol=1e-3)
    assert model.score(Plain(array)) == pytest.approx(0.0, abs=1e-8)


def test_held_out_cells_are_those_that_training_lacks(array):
    data = array + 1.0  # no zeros
    train, test = gcp.hold_out(Weighted(data), 0.3, 0)
    assert type(train) is Weighted
    assert isinstance(test, gcp.ObservedTensor)
    held = np.zeros(data.shape, bool)
    held[tuple(test.subs.T)] = True
    assert_allclose(train.entry_weights, ~held)
    assert_allclose(test.values, data[tuple(test.subs.T)])
    assert_allclose(test.entry_weights, 1 / 0.3)
    assert 0 < held.sum() < 0.6 * held.size


@pytest.mark.parametrize("scheme", ["rows", "blocks", "future"])
def test_schemes_hold_out_of_it_what_they_do_of_arrays(array, scheme):
    data = array + 1.0
    found, expected = (gcp.hold_out(one, 0.4, 0, scheme=scheme, mode=0) for one in (Weighted(data), data))
    assert type(found.train) is Weighted
    assert_allclose(found.train.entry_weights, expected.train.entry_weights)
    assert_allclose(found.test.subs, expected.test.subs)
    assert_allclose(found.test.values, expected.test.values)


def test_a_rank_is_selected(tmp_path):
    rng = np.random.default_rng(0)
    array = np.einsum("ir,jr,kr->ijk", *(rng.normal(size=(size, 2)) for size in (9, 8, 7)))
    data = array + 0.05 * rng.normal(size=array.shape)
    options = {"random_state": 0, "n_splits": 2, "n_starts": 1, "folder": tmp_path / "folder"}
    before = Weighted.n_passes
    choice = gcp.select_rank(Weighted(data), [1, 2, 3], **options)
    assert choice.rank == 2
    n_passes = Weighted.n_passes - before
    assert n_passes > 50
    assert gcp.select_rank(Weighted(data), [1, 2, 3], **options).rank == 2
    assert Weighted.n_passes - before < 1.5 * n_passes  # what the folder has is not fitted again
    with pytest.raises(gcp.DataError, match="other data"):
        gcp.select_rank(Weighted(array), [1, 2, 3], **options)


def test_thinned_counts_select_a_rank():
    rng = np.random.default_rng(0)
    mean = 5 * np.einsum("ir,jr,kr->ijk", *(rng.gamma(0.5, 2.0, (size, 2)) for size in (9, 8, 7)))
    counts = rng.poisson(mean).astype(float)
    choice = gcp.select_rank(
        Weighted(counts), [1, 2], loss="poisson", method="thinning", n_splits=2, random_state=0
    )
    assert choice.rank == 2


def test_what_it_cannot_give_is_said_in_a_sentence(array):
    for ask in (
        lambda tensor: fitted(tensor, mask=array > 0.1),
        lambda tensor: fitted(tensor, entry_weights=array),
        lambda tensor: gcp.hold_out(tensor, 0.2, 0),
        lambda tensor: gcp.select_rank(tensor, [1]),
    ):
        with pytest.raises(gcp.ParameterError, match="Plain, a kind of tensor without `with_weights`"):
            ask(Plain(array))
    with pytest.raises(gcp.ParameterError, match="Plain, a kind of tensor without `with_values`"):
        gcp.select_rank(Plain(np.round(9 * array)), [1], loss="poisson", method="thinning")
    listed = Listed(np.argwhere(array > 0.1), array[array > 0.1], array.shape)
    for ask in (
        lambda: fitted(listed, entry_weights=np.ones(len(listed.values))),
        lambda: gcp.hold_out(listed, 0.2, 0),
        lambda: gcp.hold_out(listed, 0.2, 0, scheme="blocks", mode=0),
        lambda: gcp.hold_out(listed, 0.2, 0, scheme="rows", mode=0),
    ):
        with pytest.raises(gcp.ParameterError, match="Listed, a kind of tensor that lists entries"):
            ask()


def test_a_kind_that_derives_from_nothing_is_refused(array):
    class Bare:
        loss_and_mttkrps = Plain.loss_and_mttkrps

    with pytest.raises(gcp.DataError, match=r"a Bare, a kind of tensor: derive .*InOnePiece"):
        fitted(Bare())


def test_a_kind_that_lists_entries(array):
    order = np.random.default_rng(4).permutation(array.size)[: int(0.9 * array.size)]
    subs = np.stack(np.unravel_index(order, array.shape), axis=1)
    tensor = Listed(subs, array[tuple(subs.T)], array.shape)
    result = fitted(tensor)
    assert_allclose(result.predict(), array, atol=2e-3)
    errors = tensor.values - result.model_values(subs)
    assert_allclose(gcp.analysis.residuals(result, tensor, "response"), errors)
    assert result.score(tensor) == pytest.approx(-np.mean(errors**2))
    assert_allclose(result.transform(tensor, 0).rows, result.factors[0], atol=1e-2)


def test_a_checkpoint_knows_it_again(array, tmp_path):
    path, whole = tmp_path / "state", fitted(Plain(array), n_iter_max=30, tol=0.0)
    with pytest.warns(gcp.ConvergenceWarning):
        fitted(Plain(array), n_iter_max=10, tol=0.0, checkpoint=path)
    result = fitted(Plain(array), n_iter_max=30, tol=0.0, checkpoint=path)
    for a, b in zip(result.factors, whole.factors, strict=True):
        np.testing.assert_array_equal(a, b)
    for other in (Plain(array + 1.0), Weighted(array), gcp.DenseTensor(array)):
        with pytest.raises(gcp.DataError, match="other data"):
            fitted(other, n_iter_max=30, tol=0.0, checkpoint=path)


def test_listed_kinds_are_told_apart_by_their_subscripts(array, tmp_path):
    subs = np.argwhere(array > 0)
    path, values = tmp_path / "state", array[array > 0]
    fitted(Listed(subs, values, array.shape), checkpoint=path)
    with pytest.raises(gcp.DataError, match="other data"):
        fitted(Listed(subs[::-1], values, array.shape), checkpoint=path)


def test_scales_and_offsets_need_columns_for_a_checkpoint(array, tmp_path):
    class Scaled(Plain):
        is_affine = True

    with pytest.raises(gcp.ParameterError, match=r"found a Scaled.*`columns`"):
        fitted(Scaled(array), checkpoint=tmp_path / "state")
    with pytest.raises(gcp.DataError, match=r"Scaled .*scales or offsets"):
        fitted(Scaled(array), solver="adam")
