"""Rung 4: the expectation of a batch is the objective, by enumerating every outcome of the generator.

The truths are sums over a dense array of weights and data, with the model by einsum.
"""

import pickle
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import (
    BernoulliOdds,
    DenseTensor,
    Gaussian,
    NegativeBinomial,
    ObservedTensor,
    ParameterError,
    PoissonLog,
    SparseTensor,
)
from gcp.kernels.shared import reference
from gcp.objectives.views.sampled import Sampling
from gcp.tensors.samplers import Batch, available_samplers, random_cells, sampler_for, uniform
from gcp.tensors.samplers.base import SampledEntries

LOSSES = [Gaussian(), NegativeBinomial(r=2.5), BernoulliOdds(), PoissonLog()]
SHAPE = (2, 3, 2)
RANK = 2


class Unwanted(Exception):
    """This outcome of the generator is one that rejection leaves out."""


def accepted(n, draw, is_wanted, rate):
    """In place of the samplers' own: no outcome but those with wanted cells only."""
    subs = draw(n)
    if not is_wanted(subs).all():
        raise Unwanted
    return subs


class Outcome:
    """In place of a generator: records what is asked of it, and answers from a given list of outcomes."""

    def __init__(self, answers=()):
        self.answers, self.asked = list(answers), []

    def _next(self, n_outcomes, size):
        self.asked.append((n_outcomes, size))
        at = len(self.asked) - 1
        return np.array(self.answers[at]) if at < len(self.answers) else np.zeros(size, int)

    def integers(self, high, size):
        return self._next(int(high), int(size))

    def random(self, size):
        """The middles of 12 equal parts of [0, 1): exact for probabilities that are multiples of 1/12."""
        return (self._next(12, int(size)) + 0.5) / 12


def all_batches(draw):
    """Every equally likely batch of a draw that asks for the same numbers whatever the answers.

    Outcomes that rejection leaves out are left out: those that remain are equally likely.
    """
    found, probe = [], Outcome()
    with suppress(Unwanted):
        draw(probe)
    choices = [list(product(range(high), repeat=size)) for high, size in probe.asked]
    for answers in product(*choices):
        with suppress(Unwanted):
            found.append(draw(Outcome(answers)))
    return found


def exact(dense, weights, loss, factors):
    """Value and gradients of the weighted sum over all cells, by whole arrays."""
    m = full(factors)
    x, w = np.where(weights > 0, dense, 1.0), np.asarray(weights, float)
    y = np.where(w > 0, w * loss.deriv(x, m), 0.0)
    value = np.where(w > 0, w * loss.value(x, m), 0.0).sum()
    return value, [reference.mttkrp(y, factors, n) for n in range(len(factors))]


def check_expectation(draw, dense, weights, loss, rng):
    factors = random_factors(dense.shape, RANK, rng, positive=True)
    found = all_batches(draw)
    # The mean of sums over batches is the sum over all their entries, each with its share of the weight.
    parts = [
        SampledEntries(b.listing.subs, b.listing.columns._replace(weight=b.listing.w / len(found)))
        for b in found
    ]
    listing = found[0].listing
    mean = Batch.of(listing.shape, listing.order, found[0].dtype, parts)
    mean_value, mean_grad, _ = mean.loss_and_mttkrps(loss.formula, factors)
    value, grad = exact(dense, weights, loss, factors)
    assert_allclose(mean_value, value, rtol=1e-10)
    for g, h in zip(grad, mean_grad, strict=True):
        assert_allclose(h, g, rtol=1e-10, atol=1e-11)


def counts(loss, rng, shape=SHAPE, density=0.4):
    x = np.where(rng.random(shape) < density, rng.integers(1, 4, shape), 0)
    x.flat[0], x.flat[-1], x.flat[1] = 1, 2, 0  # the corners are listed, and there is a zero
    return np.minimum(x, 1) if isinstance(loss, BernoulliOdds) else x


MODE_WEIGHTS = {
    "masks": [None, [1.0, 0.0, 1.0], None],
    "products": [[1.0, 3.0], [2.0, 0.0, 4.0], [0.5, 0.5]],  # probabilities in quarters, thirds and halves
}


def sparse_case(kind, loss, rng, weights=MODE_WEIGHTS):
    """A sparse tensor, and the dense data and weights that it stands for."""
    x = counts(loss, rng)
    w = np.ones(SHAPE)
    options = {}
    subs = np.argwhere(x)
    if kind in ("weights", "everything"):
        own = rng.uniform(0.5, 3.0, len(subs))
        own[1] = 0.0  # left out: neither its datum nor a zero
        options["entry_weights"] = own
        w[tuple(subs.T)] = own
    if kind in ("missing", "everything"):
        zero, listed = np.argwhere(x == 0)[0], subs[-1]
        options["missing"] = np.array([zero, listed])
        w[tuple(zero)] = w[tuple(listed)] = 0.0
    if kind in ("masks", "products", "everything"):
        given = weights["masks" if kind == "masks" else "products"]
        options["mode_weights"] = given
        for n, u in enumerate(given):
            if u is not None:
                w *= np.asarray(u).reshape([-1 if k == n else 1 for k in range(3)])
    return SparseTensor(subs, x[tuple(subs.T)], SHAPE, **options), x, w


KINDS = ["plain", "weights", "missing", "masks", "products", "everything"]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["uniform", "stratified", "stratified by rejection", "semi-stratified"])
def test_the_expectation_of_a_batch_of_sparse_data(name, kind, loss, rng, monkeypatch):
    weights = MODE_WEIGHTS
    if name == "stratified by rejection":  # which draws by roots of weights
        name, weights = (
            "stratified",
            MODE_WEIGHTS | {"products": [[1.0, 9.0], [4.0, 0.0, 16.0], [0.25, 0.25]]},
        )
        monkeypatch.setattr(random_cells, "_SMALL", 0)
        monkeypatch.setattr(random_cells, "_LEAST_RATE", 0.0)
        monkeypatch.setattr(random_cells, "accepted", accepted)
    tensor, x, w = sparse_case(kind, loss, rng, weights)
    sampler = sampler_for(tensor, name)
    n = 1 if name == "uniform" else 2  # that is one of each kind
    check_expectation(lambda outcome: sampler.draw(n, outcome), x, w, loss, rng)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("n", [1, 2, 50])
def test_the_expectation_of_a_batch_of_observed_data(loss, n, rng):
    x = counts(loss, rng)
    subs = np.argwhere(rng.random(SHAPE) < 0.6)
    own = rng.uniform(0.5, 3.0, len(subs))
    own[2] = 0.0
    w = np.zeros(SHAPE)
    w[tuple(subs.T)] = own
    tensor = ObservedTensor(subs, x[tuple(subs.T)], SHAPE, entry_weights=own)
    check_expectation(lambda outcome: sampler_for(tensor).draw(n, outcome), x, w, loss, rng)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("path", ["complete", "listed", "rejection", "all"])
def test_the_expectation_of_a_batch_of_dense_data(loss, path, rng, monkeypatch):
    x = counts(loss, rng)
    w = np.ones(SHAPE)
    if path != "complete":
        w = rng.uniform(0.5, 3.0, SHAPE) * (rng.random(SHAPE) < 0.6)
        monkeypatch.setattr(uniform, "_LEAST_RATE", 0.0 if path == "rejection" else 1.0)
        monkeypatch.setattr(uniform, "accepted", accepted)
    tensor = DenseTensor(x, entry_weights=None if path == "complete" else w)
    n = 50 if path == "all" else 2
    check_expectation(lambda outcome: sampler_for(tensor).draw(n, outcome), x, w, loss, rng)


def test_dense_data_of_any_layout_and_missing_values(rng, monkeypatch):
    monkeypatch.setattr(uniform, "accepted", accepted)
    x = np.asfortranarray(rng.normal(size=(3, 2, 2)))
    x[1, 0, 1] = np.nan
    tensor = DenseTensor(x, mask=np.array([[True], [True], [False]])[:, :, None])
    w = np.ones(x.shape)
    w[2] = w[1, 0, 1] = 0
    check_expectation(lambda outcome: sampler_for(tensor).draw(1, outcome), x, w, Gaussian(), rng)


def test_rejection_keeps_the_first_wanted_ones_in_their_order(rng):
    """Independent draws of which the unwanted are left out are independent draws of the wanted."""
    drawn = []

    def draw(n):
        drawn.append(rng.integers(4, size=(n, 2)))
        return drawn[-1]

    found = random_cells.accepted(1000, draw, lambda subs: subs[:, 0] != 3, 0.75)
    every = np.concatenate(drawn)
    assert np.array_equal(found, every[every[:, 0] != 3][:1000])


# --- what is drawn -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["uniform", "stratified", "semi-stratified"])
def test_every_cell_is_reached(name, rng):
    x = (rng.random((3, 4, 5)) < 0.3).astype(int)
    tensor = SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    sampler = sampler_for(tensor, name)
    seen = np.zeros(x.shape, bool)
    for _ in range(60):
        listing = sampler.draw(20, rng).listing
        seen[tuple(listing.subs[:, listing.order.index(n)] for n in range(3))] = True
    assert seen.all()


@pytest.mark.parametrize("name", ["stratified", "semi-stratified"])
def test_rejection_reaches_all_zeros_and_no_listed_cell(name, rng, monkeypatch):
    monkeypatch.setattr(random_cells, "_SMALL", 0)
    x = (rng.random((3, 4, 5)) < 0.3).astype(int)
    tensor = SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    listing = sampler_for(tensor, name).draw(4000, rng).listing
    subs = tuple(listing.subs[:, listing.order.index(n)] for n in range(3))
    as_zero = listing.x == 0
    reached = np.zeros(x.shape, int)
    np.add.at(reached, tuple(s[as_zero] for s in subs), 1)
    assert (reached[x == 0] > 0).all()
    if name == "stratified":
        assert (reached[x == 1] == 0).all()
        assert np.array_equal(x[subs], listing.x)


def test_positions_are_as_likely_as_their_weights(rng):
    """With seeds that are fixed, counts within five standard deviations."""
    weights = [np.array([0.0, 1.0, 2.5, 0.0]), np.array([1.0, 1.0, 0.0])]
    subs = random_cells.RandomCells((4, 3), (1, 0), weights).draw(40_000, rng)
    assert set(subs[:, 0].tolist()) == {0, 1}
    found = np.bincount(subs[:, 1], minlength=4)
    p = weights[0] / 3.5
    assert (np.abs(found - 40_000 * p) <= 5 * np.sqrt(40_000 * p * (1 - p))).all()
    assert found[0] == found[3] == 0


@pytest.mark.parametrize("name", ["stratified", "semi-stratified", "uniform"])
@pytest.mark.parametrize("n_zeros", [0, 1, 7])
def test_nearly_full_tensors_never_run_dry(name, n_zeros, rng):
    shape = (60, 50, 50)  # more cells than are always listed
    x = np.ones(shape)
    at = rng.choice(x.size, n_zeros, replace=False)
    x.flat[at] = 0
    tensor = SparseTensor(np.argwhere(x), x[x != 0], shape)
    for n in (1, 10, 4000):
        listing = sampler_for(tensor, name).draw(n, rng).listing
        assert len(listing.x) == len(listing.subs) == len(listing.w)
        if name == "stratified" and n > 1:
            assert np.count_nonzero(listing.x == 0) == min(n_zeros, n // 2)
    if name == "stratified":
        assert_allclose(listing.w[listing.x == 0].sum(), n_zeros)


def test_heavy_positions_that_are_listed_in_full_do_not_stop_the_rejection(rng):
    """The listed cells have nearly all the weight, the zeros nearly all the cells."""
    size = 2000
    heavy = np.ones(size)
    heavy[0] = 1e9
    subs = np.array([(0, j) for j in range(size)])
    tensor = SparseTensor(subs, np.ones(size), (size, size), mode_weights=[heavy, None])
    listing = sampler_for(tensor, "stratified").draw(2000, rng).listing
    zeros = listing.x == 0
    assert np.count_nonzero(zeros) == 1000
    assert_allclose(listing.w[zeros].sum(), size * (size - 1.0), rtol=1e-12)
    assert (listing.subs[zeros, 0] > 0).all()


@pytest.mark.parametrize("name", ["stratified", "semi-stratified", "uniform"])
def test_shapes_of_more_cells_than_integers_count(name, rng):
    shape = (2**40, 2**40, 3)
    subs = np.stack([rng.integers(size, size=500) for size in shape], axis=1)
    tensor = SparseTensor(subs, np.ones(500), shape)
    listing = sampler_for(tensor, name).draw(2000, rng).listing
    cell_count = 3.0 * 2**80
    assert_allclose(listing.w.sum(), cell_count, rtol=1e-12)
    zeros = (listing.x == 0) & (listing.w > 0)
    at = listing.subs[zeros, listing.order.index(0)]
    assert at.max() > 2**39  # no rounding to what a small type holds
    assert 0.45 < np.mean(at % 2) < 0.55


def test_half_of_a_batch_takes_all_listed_entries_if_it_can(rng):
    x = np.zeros((50, 40))
    x[::10, ::8] = rng.integers(1, 5, (5, 5))
    tensor = SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    for name in ("stratified", "semi-stratified"):
        listing = sampler_for(tensor, name).draw(100, rng).listing
        data = listing.x > 0
        assert np.array_equal(np.sort(listing.x[data]), np.sort(x[x != 0]))
        assert (listing.w[data] == 1).all()
        assert np.count_nonzero((listing.x == 0) & (listing.w > 1)) == 75


def test_a_batch_of_one_still_has_both_kinds(rng):
    tensor = SparseTensor([[0, 0], [1, 1], [2, 0]], [1, 1, 1], (3, 4))
    for name in ("stratified", "semi-stratified"):
        x = sampler_for(tensor, name).draw(1, rng).listing.x
        assert (x > 0).any()
        assert (x == 0).any()


def test_only_missing_cells_listed(rng):
    tensor = SparseTensor([[0, 0]], [np.nan], (3, 4))
    assert_allclose(sampler_for(tensor, "stratified").draw(5, rng).listing.w.sum(), 11)


# --- batches -----------------------------------------------------------------------------------------------


def batch(rng, n=30_000):
    x = rng.poisson(0.3, (60, 50, 40))
    tensor = SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    return sampler_for(tensor, "semi-stratified").draw(n, rng)


def test_sorting_a_batch_changes_nothing_but_the_order(rng):
    given = batch(rng)
    factors = random_factors((60, 50, 40), 3, rng, positive=True)
    formula = NegativeBinomial(r=2.0).formula
    value, grad, _ = given.loss_and_mttkrps(formula, factors)
    assert not given.is_sorted
    for n_threads in (1, 2, 3):
        again, same, _ = given.sorted().loss_and_mttkrps(formula, factors, n_threads)
        assert_allclose(again, value, rtol=1e-11)
        for g, h in zip(grad, same, strict=True):
            assert_allclose(h, g, rtol=1e-8, atol=1e-8 * np.abs(g).max())
    rows = given.sorted().listing.subs.astype(int)
    assert np.array_equal(rows, rows[np.lexsort(rows.T[::-1])])


def test_threads_do_not_matter_to_a_batch_that_is_not_sorted(rng):
    given = batch(rng)
    factors = random_factors((60, 50, 40), 3, rng, positive=True)
    one, many = (given.loss_and_mttkrps(Gaussian().formula, factors, n) for n in (1, 4))
    assert one[0] == many[0]


def test_the_same_seed_draws_the_same_bits():
    first, second = (batch(np.random.default_rng(5)).listing for _ in range(2))
    for name in ("subs", "x", "w"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_single_precision_data_have_single_precision_gradients(rng):
    x = rng.normal(size=(5, 4)).astype(np.float32)
    factors = [a.astype(np.float32) for a in random_factors((5, 4), 2, rng)]
    given = np.argwhere(x), x.ravel()
    for tensor in (DenseTensor(x), SparseTensor(*given), ObservedTensor(*given)):
        value, grad, _ = sampler_for(tensor).draw(100, rng).loss_and_mttkrps(Gaussian().formula, factors)
        assert {g.dtype for g in grad} == {np.dtype(np.float32)}
        assert_allclose(value, np.sum((x - full(factors)) ** 2), rtol=1e-5)


# --- names -------------------------------------------------------------------------------------------------


def test_names():
    assert available_samplers() == ["semi-stratified", "stratified", "uniform"]
    sparse = SparseTensor([[0, 0]], [1], (3, 4))
    assert type(sampler_for(sparse)) is type(sampler_for(sparse, "stratified"))
    with pytest.raises(ParameterError, match="Unknown sampler 'leverage'"):
        sampler_for(sparse, "leverage")
    with pytest.raises(ParameterError, match="needs a SparseTensor: found DenseTensor"):
        sampler_for(DenseTensor(np.ones((2, 2))), "stratified")


@pytest.mark.parametrize("kind", ["dense", "observed", "sparse"])
def test_what_is_made_of_a_tensor_is_not_pickled_with_it(kind, rng):
    x = rng.poisson(1.0, (6, 5, 4)).astype(float)
    tensor = {
        "dense": lambda: DenseTensor(x),
        "observed": lambda: ObservedTensor(np.argwhere(x >= 0), x.reshape(-1), x.shape),
        "sparse": lambda: SparseTensor(np.argwhere(x), x[x > 0], x.shape),
    }[kind]()
    parts = gcp.partition(tensor, 2)
    fresh = [pickle.dumps(part) for part in parts.engine.parts]
    sampled = gcp.build_objective(parts, "poisson").sampled(Sampling())
    factors = random_factors(x.shape, 2, rng, positive=True)
    sampled.value_and_grad(factors)
    sampled.gradient(factors)
    for part, before in zip(parts.engine.parts, fresh, strict=True):
        assert part.made_here  # samplers and a sample, kept
        assert pickle.dumps(part) == before
        vars(part)["of_another_name"] = np.ones(1000)  # whatever hangs on it
        assert pickle.dumps(part) == before
        assert pickle.loads(before).made_here == {}
