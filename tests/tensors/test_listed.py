"""Tensors of listed entries: what they keep, what they refuse, and that they say the same as a dense tensor."""

from itertools import product

import numpy as np
import pytest
from helpers import full, random_factors
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar

import gcp
from gcp import DenseTensor, ModeLabels, ObservedTensor, SparseTensor, build_objective
from gcp.base.errors import DataError, ParameterError
from gcp.kernels.shared.reference import mttkrps

KINDS = [SparseTensor, ObservedTensor]
SUBS = np.array([[2, 0, 1], [0, 1, 1], [0, 0, 3]])
VALUES = np.array([3, 1, 2])


def by_einsum(loss, x, weights, factors):
    """The objective and its gradients, cell by cell."""
    m = full(factors)
    with np.errstate(all="ignore"):
        value = np.sum(np.where(weights > 0, weights * loss.value(x, m), 0.0))
        y = np.where(weights > 0, weights * loss.deriv(x, m), 0.0)
    return value, mttkrps(y, factors)


def dense_by_hand(subs, values, shape, background):
    full = np.full(shape, background, dtype=float)
    for cell, value in zip(subs, values, strict=True):
        full[tuple(cell)] = value
    return full


@pytest.mark.parametrize("kind", KINDS)
def test_sorted_and_compact(kind):
    tensor = kind(SUBS, VALUES, (3, 2, 4))
    assert tensor.shape == (3, 2, 4)
    assert tensor.ndim == 3
    assert tensor.subs.dtype == np.uint32
    assert tensor.values.dtype == VALUES.dtype
    found = sorted(zip(map(tuple, tensor.subs.tolist()), tensor.values.tolist(), strict=True))
    assert found == [((0, 0, 3), 2), ((0, 1, 1), 1), ((2, 0, 1), 3)]
    assert tensor.listing.x.dtype == np.float32  # small counts need no more
    assert kind(SUBS, VALUES).shape == (3, 2, 4)
    assert kind(SUBS, VALUES.astype(np.float32)).dtype == np.float32
    assert kind(SUBS, [0.1, 0.2, 0.3]).listing.x.dtype == np.float64


@pytest.mark.parametrize("kind", KINDS)
def test_the_callers_arrays_stay(kind):
    subs, values = np.array([[0, 0], [0, 0], [1, 1]], np.uint32), np.array([1.0, 2.0, 4.0])
    tensor = kind(subs, values, aggregate="sum")
    assert tensor.values.tolist() == [3, 4]
    assert subs.tolist() == [[0, 0], [0, 0], [1, 1]]
    assert values.tolist() == [1, 2, 4]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(-5, 5)), max_size=40),
    st.sampled_from(["sum", "mean", "first", "last", "min", "max"]),
    st.sampled_from([np.int8, np.int64, np.float32, np.float64]),
)
def test_several_entries_of_one_cell(rows, aggregate, dtype):
    cells = {}
    for i, j, v in rows:
        cells.setdefault((i, j), []).append(v)
    subs, values = (
        np.array([row[:2] for row in rows]).reshape(-1, 2),
        np.array([row[2] for row in rows], dtype),
    )
    tensor = SparseTensor(subs, values, (4, 5), aggregate=aggregate)
    expected = np.zeros((4, 5))
    merge = {
        "sum": sum,
        "mean": np.mean,
        "min": min,
        "max": max,
        "first": lambda v: v[0],
        "last": lambda v: v[-1],
    }
    for cell, several in cells.items():
        expected[cell] = merge[aggregate](several)
    assert_allclose(tensor.to_dense().values, expected, rtol=1e-6)
    assert len(tensor.values) == np.count_nonzero(expected)  # zeros take no place in the list


def test_the_last_entry_keeps_its_weight():
    subs, values, weights = [[1], [0], [0], [1]], [1.0, 4.0, 7.0, 9.0], [1, 3, 2, 0.5]
    tensor = ObservedTensor(subs, values, entry_weights=weights, aggregate="last")
    assert tensor.values.tolist() == [7, 9]
    assert tensor.entry_weights.tolist() == [2, 0.5]
    for aggregate in ("sum", "min", "max"):
        with pytest.raises(
            ParameterError, match=f'aggregate="{aggregate}" cannot merge entries with entry_weights'
        ):
            ObservedTensor(subs, values, entry_weights=weights, aggregate=aggregate)


def test_weighted_mean():
    tensor = ObservedTensor([[0], [0], [1]], [1.0, 4.0, 7.0], entry_weights=[1, 3, 2], aggregate="mean")
    assert tensor.values.tolist() == [13 / 4, 7]
    assert tensor.entry_weights.tolist() == [4, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("subs", "values", "options", "message"),
    [
        (
            [[0, 1], [2, -1], [-3, 0]],
            [1, 1, 1],
            {},
            r"entry 2 has the subscript -3 in mode 0: expected 0 or more",
        ),
        ([[0, 1], [2, -1]], [1, 1], {}, r"entry 1 has the subscript -1 in mode 1"),
        (
            [[0, 1], [5, 1], [7, 0]],
            [1, 1, 1],
            {"shape": (5, 2)},
            r"entry 1 .* 5 in mode 0, and 1 more: .* 0 to 4",
        ),
        ([[0, 1], [0.5, 1]], [1, 1], {}, r"entry 1 has the subscript 0.5 in mode 0: expected whole"),
        ([[0, 1], [0, np.nan]], [1, 1], {}, r"entry 1 has the subscript nan in mode 1: expected whole"),
        ([[0, 1], [0, np.inf]], [1, 1], {}, r"entry 1 has the subscript inf in mode 1"),
        ([["a", "b"]], [1], {}, r"subs has dtype <U1: expected whole numbers"),
        ([[0], [1, 2]], [1, 1], {}, r"subs cannot be read as an array"),
        ([0, 1], [1, 1], {}, r"subs has shape \(2,\): expected one row .* \(2, number of modes\)"),
        ([[0, 1]], [1, 1], {}, r"subs has shape \(1, 2\)"),
        ([[]], [1], {}, r"subs has shape \(1, 0\)"),
        ([[0]], [[1]], {}, r"values has shape \(1, 1\)"),
        ([[0]], ["x"], {}, r"values has dtype <U1"),
        ([[0]], [1j], {}, r"values has dtype complex128"),
        (np.empty((0, 2)), [], {}, r"no entries: give its shape"),
        ([[0, 0]], [1], {"shape": (2,)}, r"shape has 1 modes, but subs has 2 columns"),
        ([[0]], [1], {"shape": (0,)}, r"sizes of modes, at least 1: found 0"),
        ([[0]], [1], {"shape": (2.0,)}, r"found 2.0"),
        ([[0]], [1], {"shape": (2**53 + 1,)}, r"sizes of modes"),
        ([[0]], [1], {"entry_weights": [1, 2]}, r"entry_weights has shape \(2,\): .* \(1,\)"),
        ([[0], [1]], [1, 1], {"entry_weights": [1, -2]}, r"found -2.0 at entry 1\.$"),
        ([[0], [1]], [1, 1], {"entry_weights": [np.nan, 1]}, r"found nan at entry 0"),
        ([[0]], [1], {"entry_weights": ["a"]}, r"entry_weights has dtype"),
        ([[0]], [1], {"labels": ModeLabels(["a"], [["x", "y"]])}, r"shape \(2,\), but the mode has 1"),
        (
            [[4, 1], [0, 0], [4, 1], [0, 0]],
            [1, 1, 1, 1],
            {},
            r"entry 0 and entry 2 list the same cell \(4, 1\) \(2 such .*aggregate=\"sum\", \"mean\" or \"last\"",
        ),
    ],
)
def test_refusals(kind, subs, values, options, message):
    with pytest.raises(DataError, match=message):
        kind(subs, values, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_choices(kind):
    with pytest.raises(ParameterError, match=r"aggregate must be .* found 'median'"):
        kind([[0]], [1], aggregate="median")
    with pytest.raises(ParameterError, match="cannot merge entries with entry_weights"):
        kind([[0], [0]], [1, 1], entry_weights=[1, 1], aggregate="sum")
    with pytest.raises(DataError, match="no observed entry"):
        kind([[0]], [1.0], (1,), entry_weights=[0])
    assert kind([[0.0, 2.0]], [1]).shape == (1, 3)  # floats that are whole are subscripts


def test_nothing_observed():
    with pytest.raises(DataError, match="no observed entry: the list is empty, or all NaN"):
        ObservedTensor([[0], [1]], [np.nan, np.nan])
    with pytest.raises(DataError, match="no observed entry"):
        ObservedTensor(np.empty((0, 2)), [], (2, 2))
    assert SparseTensor(np.empty((0, 2)), [], (2, 2)).to_dense().values.tolist() == [[0, 0], [0, 0]]
    with pytest.raises(DataError, match="every cell is missing or of weight 0"):
        SparseTensor([[0]], [1.0], (1,), missing=[[0]])
    with pytest.raises(DataError, match="every cell is missing or of weight 0"):
        SparseTensor([[0, 0]], [1.0], (2, 2), mode_weights=[[0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode_weights": [None]}, r"mode_weights has 1 items: expected one per mode, 2"),
        ({"mode_weights": [None, [1, 1]]}, r"mode_weights of mode 1 has shape \(2,\).*expected 3 numbers"),
        (
            {"mode_weights": [None, [1, -1, 1]]},
            r"mode_weights of mode 1 must be 0, or from .*: found -1.0 at entry 1",
        ),
        ({"missing": [[0, 3]]}, r"missing cell 0 has the subscript 3 in mode 1: expected 0 to 2"),
        ({"missing": [[0]]}, r"subs has shape \(1, 1\)|shape has 2 modes"),
    ],
)
def test_refusals_of_sparse_options(options, message):
    with pytest.raises(DataError, match=message):
        SparseTensor([[1, 2]], [1.0], (2, 3), **options)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64, np.int64])
def test_huge_shapes(dtype):
    shape = (2**40, 5 * 10**9, 3)
    subs = np.array([[2**40 - 1, 7, 0], [3, 4 * 10**9, 2], [3, 4 * 10**9, 1]])
    if dtype != np.uint32:
        for kind in KINDS:
            tensor = kind(subs.astype(dtype), [1, 2, 3], shape)
            assert tensor.subs.dtype == np.uint64
            found = sorted(zip(tensor.subs.tolist(), tensor.values.tolist(), strict=True))
            assert found == [([3, 4 * 10**9, 1], 3), ([3, 4 * 10**9, 2], 2), ([2**40 - 1, 7, 0], 1)]
            with pytest.raises(DataError, match=r"16,492,674,416,640,000,000,000 cells, more than"):
                tensor.to_dense()
    tensor = SparseTensor(np.array([[7, 0, 1]], dtype), [2], (2**32, 2**32, 3))
    assert tensor.subs.dtype == np.uint32
    assert tensor.n_cells == 3 * 2**64
    wide = SparseTensor([[0, 2**32]], [1])
    assert wide.shape == (1, 2**32 + 1)
    assert wide.subs.tolist() == [[0, 2**32]]


def test_wide_subscripts_are_sorted():
    rng = np.random.default_rng(0)
    shape = (2**40, 2**33, 2**20)  # no word of 64 bits holds them together
    subs = np.stack([rng.choice(rng.integers(0, size, 4), 300) for size in shape], axis=1)
    values = rng.integers(1, 5, 300)
    tensor = ObservedTensor(subs, values, shape, aggregate="sum")
    expected = {}
    for cell, value in zip(map(tuple, subs.tolist()), values.tolist(), strict=True):
        expected[cell] = expected.get(cell, 0) + value
    assert dict(zip(map(tuple, tensor.subs.tolist()), tensor.values.tolist(), strict=True)) == expected
    assert [tuple(row) for row in tensor.subs.tolist()] == sorted(expected)


class TestToDense:
    def test_of_integers(self):
        sparse = SparseTensor(SUBS, VALUES, (3, 2, 4)).to_dense()
        np.testing.assert_array_equal(sparse.values, dense_by_hand(SUBS, VALUES, (3, 2, 4), 0))
        assert sparse.values.dtype == VALUES.dtype
        assert sparse.entry_weights is None
        known = ObservedTensor(SUBS, VALUES, (3, 2, 4)).to_dense()
        assert known.values.dtype == VALUES.dtype
        expected = ~np.isnan(dense_by_hand(SUBS, VALUES, (3, 2, 4), np.nan))
        np.testing.assert_array_equal(known.entry_weights, expected)

    def test_of_floats(self):
        labels = ModeLabels(["a", "b", "c"], [["x", "y", "z"], None, None])
        known = ObservedTensor(SUBS, VALUES * 0.5, (3, 2, 4), labels=labels).to_dense()
        np.testing.assert_array_equal(known.values, dense_by_hand(SUBS, VALUES * 0.5, (3, 2, 4), np.nan))
        assert known.labels is labels

    def test_weights_and_missing_cells(self):
        tensor = SparseTensor(
            [[0, 0], [1, 2], [2, 1]],
            [1.0, np.nan, 4.0],
            (3, 3),
            entry_weights=[2, 1, 1],
            mode_weights=[[1, 1, 0.5], None],
            missing=[[0, 1]],
        )
        dense = tensor.to_dense()
        np.testing.assert_array_equal(dense.values, [[1, np.nan, 0], [0, 0, np.nan], [0, 4, 0]])
        np.testing.assert_array_equal(dense.entry_weights, [[2, 0, 1], [1, 1, 0], [0.5, 0.5, 0.5]])
        assert tensor.missing.tolist() == [[0, 1], [1, 2]]
        assert tensor.n_missing == 2
        assert tensor.n_known == 7

    def test_one_mode_keeps_its_weights(self):
        tensor = SparseTensor([[1]], [2.0], (3,), mode_weights=[[1, 2, 3]], entry_weights=[5])
        assert tensor.to_dense().entry_weights.tolist() == [1, 10, 3]
        assert tensor.mode_weights[0].tolist() == [1, 2, 3]

    def test_observed_weights(self):
        tensor = ObservedTensor([[0, 1], [1, 0]], [1, 2], entry_weights=[0.5, 3])
        assert tensor.to_dense().entry_weights.tolist() == [[0, 0.5], [3, 0]]


def test_nonzeros_alone():
    tensor = SparseTensor(
        [[0, 0], [1, 1], [1, 0]],
        [2.0, 0.0, 3.0],
        (2, 3),
        entry_weights=[1, 4, 2],
        mode_weights=[[1, 2], None],
    )
    known = tensor.nonzeros()
    assert isinstance(known, ObservedTensor)
    assert known.subs.tolist() == [[0, 0], [1, 0]]
    assert known.values.tolist() == [2, 3]
    assert known.entry_weights.tolist() == [1, 4]


@pytest.mark.parametrize("modes", [None, [[1, 0, 1], None, [0, 1, 1, 1]]])
def test_the_first_zero_is_found(modes, rng):
    """The cell that a message about the zeros names."""
    shape = (3, 2, 4)
    for n in [*range(24), 23, 22, 21]:
        chosen = np.sort(rng.permutation(24)[:n]) if n % 2 else np.arange(n)
        subs = np.stack(np.unravel_index(chosen, (4, 3, 2)), axis=1)[
            :, [1, 2, 0]
        ]  # the largest mode is slowest
        tensor = SparseTensor(subs, np.ones(n), shape, mode_weights=modes)
        weights = np.ones(shape) if modes is None else tensor.to_dense().entry_weights
        zeros = (tensor.to_dense().values == 0) & (weights > 0)
        expected = min(
            map(tuple, np.argwhere(zeros).tolist()),
            key=lambda cell: (cell[2], cell[0], cell[1]),
            default=None,
        )
        if expected is not None:
            assert tensor.subscript(len(tensor.listing.x)) == expected


def test_the_first_zero_of_a_huge_shape():
    tensor = SparseTensor([[0, 0], [0, 1]], [1.0, 2.0], (2**50, 2**40))
    assert tensor.subscript(2) == (0, 2)


def test_repr_tells_what_it_is():
    tensor = SparseTensor(SUBS, VALUES, (3, 2, 4), missing=[[0, 0, 0]])
    assert repr(tensor) == "SparseTensor(3 x 2 x 4, int64, 3 listed, 1 missing)"
    assert repr(ObservedTensor(SUBS, VALUES)) == "ObservedTensor(3 x 2 x 4, int64, 3 known)"


LOSSES = ["gaussian", "poisson", "bernoulli-poisson", "bernoulli-logit", "negative-binomial", "huber"]


def example(kind, options, rng):
    shape = (4, 3, 5)
    cells = np.array(list(product(*map(range, shape))))
    subs = cells[rng.permutation(len(cells))[:20]]
    values = rng.integers(0, 2, 20).astype(float)
    if kind is ObservedTensor:
        options = options & {"entry_weights"}
    given = {}
    if "entry_weights" in options:
        given["entry_weights"] = rng.integers(0, 4, 20) / 2
    if "missing" in options:
        given["missing"] = cells[rng.permutation(len(cells))[:7]]
    if "mode_weights" in options:
        given["mode_weights"] = [[1, 0, 1, 1], None, [1, 1, 0, 1, 1]]
    return kind(subs, values, shape, **given)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "options",
    [set(), {"entry_weights"}, {"missing"}, {"mode_weights", "entry_weights", "missing"}],
    ids=lambda chosen: "+".join(sorted(chosen)),
)
def test_objective_of_the_dense_equivalent(kind, loss, options, rng):
    tensor = example(kind, options, rng)
    listed, dense = build_objective(tensor, loss), tensor.to_dense()
    factors = random_factors(tensor.shape, 3, rng, positive=True)
    weights = np.ones(tensor.shape) if dense.entry_weights is None else np.asarray(dense.entry_weights, float)
    x = np.nan_to_num(np.asarray(dense.values, dtype=float))
    value, grad = listed.value_and_grad(factors)
    expected, expected_grad = by_einsum(listed.loss, x, weights, factors)
    assert_allclose(value, expected, rtol=1e-10)
    for g, h in zip(grad, expected_grad, strict=True):
        assert_allclose(g, h, rtol=1e-9, atol=1e-10)
    best = minimize_scalar(
        lambda m: np.sum(weights * np.where(weights > 0, listed.loss.value(x, m), 0.0)),
        bracket=(0.5 * listed.null_constant, 1.5 * listed.null_constant),
    )
    assert_allclose(listed.null_value, best.fun, rtol=1e-9)
    assert_allclose(listed.survey.total_weight, weights.sum())
    assert_allclose(listed.survey.mean, np.average(x, weights=weights))


def test_dense_and_listed_tensors_are_no_arrays():
    assert isinstance(SparseTensor([[0]], [1]).to_dense(), DenseTensor)


@pytest.mark.parametrize("values", [np.float16, np.longdouble, ">f8", "<f4", np.int8, ">i8"])
@pytest.mark.parametrize("subs", [">i4", np.uint64, np.int16])
def test_every_type_of_numbers_is_read(values, subs):
    given = np.array([[2, 1], [0, 1], [1, 0]]).astype(subs)
    for kind in (gcp.ObservedTensor, gcp.SparseTensor):
        tensor = kind(given, np.array([3, 1, 2]).astype(values), (3, 2))
        assert tensor.values.tolist() == [1, 2, 3]
        assert tensor.subs.tolist() == [[0, 1], [1, 0], [2, 1]]


def test_sums_do_not_overflow_their_types():
    big = gcp.SparseTensor([[0, 0], [0, 0]], np.array([2**62, 2**62], np.uint64), (1, 1), aggregate="sum")
    assert big.values[0] == 2**63
    half = gcp.SparseTensor([[0, 0], [0, 0]], np.array([60000, 60000], np.float16), (1, 1), aggregate="sum")
    assert half.values[0] == 120000


def test_what_the_caller_changes_later_does_not_matter():
    subs, values = np.array([[0, 1], [2, 0]], np.uint32), np.array([1, 2], np.float32)
    tensor = gcp.ObservedTensor(subs, values, (3, 2))
    subs[0, 0], values[0] = 99, 99
    assert tensor.subs.tolist() == [[0, 1], [2, 0]]
    assert tensor.listing.x.tolist() == [1, 2]


def test_entries_of_weight_zero_have_no_say_in_a_mean():
    tensor = gcp.SparseTensor(
        [[0, 0], [0, 0], [1, 1]], [np.nan, 3, 1], (2, 2), entry_weights=[0, 1, 1], aggregate="mean"
    )
    assert tensor.values.tolist() == [3, 1]
    assert tensor.n_missing == 0


def test_masked_values_are_unknown():
    values = np.ma.array([1.0, 2.0], mask=[True, False])
    assert gcp.ObservedTensor([[0, 0], [1, 1]], values, (2, 2)).values.tolist() == [2.0]


@pytest.mark.parametrize("shape", [5, (2**53,) * 30])
def test_shapes_that_are_none(shape):
    with pytest.raises(gcp.DataError, match="shape"):
        gcp.SparseTensor([[0] * 30], [1.0], shape)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("loss", ["poisson-log", "negative-binomial", "bernoulli-logit"])
def test_models_that_run_off_at_missing_cells_do_not_touch_the_loss(loss, masked, rng):
    """The loss of a zero is not added and subtracted there: it may be larger than all others together."""
    shape = (6, 5, 4)
    x = (rng.random(shape) < 0.2).astype(float)
    missing = np.array([[0, 0, 0], [3, 2, 1], [5, 4, 3]])
    factors = [rng.uniform(0.2, 0.9, (n, 2)) for n in shape]
    for a, i in zip(factors, missing[1], strict=True):
        a[:, 1] = 0.0
        a[i, 1] = 5.0  # one component is at a missing cell alone: m = 125 there
    weights = rng.uniform(0.5, 2.0, int(x.sum()))
    weights[:3] = [0.0, 1e-12, 1.0]
    modes = [np.arange(n) != 1 for n in shape] if masked else None
    tensor = gcp.SparseTensor(np.argwhere(x), x[x > 0], shape, weights, modes, missing)
    dense = np.ones(shape)
    dense[x > 0] = weights
    dense[tuple(missing.T)] = 0.0
    if masked:
        dense *= np.einsum("i,j,k->ijk", *modes)
    objective = gcp.build_objective(tensor, loss)
    value, gradients = objective.value_and_grad(factors)
    expected, truth = by_einsum(objective.loss, x, dense, factors)
    assert_allclose(value, expected, rtol=1e-12)
    for g, h in zip(gradients, truth, strict=True):
        assert_allclose(g, h, rtol=1e-9, atol=1e-9)
