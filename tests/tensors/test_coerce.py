import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorly as tl
import xarray as xr

from gcp import ObservedTensor, SparseTensor, get_loss
from gcp.base.errors import DataError, GcpError
from gcp.base.labels import ModeLabels
from gcp.objectives.build import build_objective
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.coerce import as_tensor
from gcp.tensors.intake.frames import from_frame
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import source_of
from gcp.tensors.parts.streamed import streamed

X = np.arange(6.0).reshape(2, 3)


def test_arrays():
    assert as_tensor(X).values is X
    assert as_tensor(X.tolist()).values.tolist() == X.tolist()
    assert as_tensor(tl.tensor(X)).values.tolist() == X.tolist()
    assert as_tensor(X).labels is None
    masked = as_tensor(np.ma.array(X, mask=X > 4), mask=X > 0)
    assert masked.entry_weights.tolist() == [[False, True, True], [True, True, False]]
    assert as_tensor(X, entry_weights=[0, 1, 2]).entry_weights.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_arrays_of_other_libraries():
    class Torchlike:
        def detach(self):
            return self

        def cpu(self):
            return X

    class Jaxlike:
        def __array__(self, dtype=None, copy=None):
            return X

    assert as_tensor(Torchlike()).values is X
    assert as_tensor(Jaxlike()).values is X


class Offers:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def in_chunks(array):
    return pytest.importorskip("dask.array").from_array(array, chunks=(1, 3))


def in_slabs(array):
    return streamed(source_of(in_chunks(array)), 1 << 20)


@pytest.mark.parametrize("make", [lambda x: x, Offers, in_chunks, in_slabs])
@pytest.mark.parametrize("dtype", [float, int])
def test_masked_entries_are_missing_whoever_holds_the_array(make, dtype):
    x = np.ma.array(X.astype(dtype), mask=X == 4)
    found = as_tensor(make(x))
    if isinstance(found, PartitionedTensor):
        loss = build_objective(found, "gaussian").value_and_grad([np.zeros((2, 1)), np.zeros((3, 1))])[0]
        assert loss == pytest.approx(np.sum(X[X != 4] ** 2))
        return
    assert found.entry_weights.tolist() == (X != 4).tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda some, one: as_tensor([some[0], some[1]]),
        lambda some, one: as_tensor([[some[0]], [some[1]]]),
        lambda some, one: DenseTensor([some[0], some[1]]),
        lambda some, one: as_tensor(X, mask=some > 0),
        lambda some, one: as_tensor(X, entry_weights=some),
        lambda some, one: as_tensor(in_chunks(X), mask=in_chunks(some > 0)),
        lambda some, one: SparseTensor([[0, 0], [1, 1]], [1.0, 2.0], entry_weights=one),
        lambda some, one: ObservedTensor([[0, 0], [1, 1]], [1.0, 2.0], entry_weights=one),
        lambda some, one: SparseTensor([[0, 0], [1, 1]], [1.0, 2.0], mode_weights=[one, None]),
        lambda some, one: SparseTensor([[0, 0], [1, 1]], [1.0, 2.0], missing=[one.astype(int)]),
        lambda some, one: ObservedTensor([one.astype(int), [0, 0]], [1.0, 2.0]),
        lambda some, one: as_tensor(ObservedTensor([[0, 0], [1, 1]], [1.0, 2.0]), mask=[one > 0, None]),
    ],
)
def test_what_is_masked_is_not_read_from_under_the_mask(call):
    some, one = np.ma.array(X + 1, mask=X == 4), np.ma.array([1.0, 1.0], mask=[False, True])
    with pytest.raises(DataError, match="masked entries"):
        call(some, one)


def test_dense_tensor_is_itself():
    tensor = DenseTensor(X)
    assert as_tensor(tensor) is tensor


@pytest.mark.parametrize("own", ["none", "mask", "weights"])
@pytest.mark.parametrize("given", ["mask", "weights", "both"])
def test_masks_intersect_and_weights_multiply(own, given):
    rng = np.random.default_rng(0)
    labels = ModeLabels(["a", "b"], [None, ["x", "y", "z"]])
    masks = rng.random((2, 2, 3)) < 0.7
    masks[:, 0, 0] = True
    weights = rng.integers(1, 200, (2, 2, 3)).astype(np.uint8)
    kinds = {"none": {}, "mask": {"mask"}, "weights": {"weights"}, "both": {"mask", "weights"}}

    def chosen(index, kind):
        return (
            masks[index] if "mask" in kinds[kind] else None,
            weights[index] if "weights" in kinds[kind] else None,
        )

    tensor = DenseTensor(X, *chosen(0, own), labels=labels)
    before = None if tensor.entry_weights is None else tensor.entry_weights.copy()
    result = as_tensor(tensor, *chosen(1, given))
    expected = np.ones((2, 3))
    for index, kind in ((0, own), (1, given)):
        for part in chosen(index, kind):
            expected = expected if part is None else expected * part
    np.testing.assert_array_equal(result.entry_weights, expected)
    is_mask = own != "weights" and given == "mask"
    assert (result.entry_weights.dtype == bool) == is_mask
    assert result.values is X
    assert result.labels is labels
    np.testing.assert_equal(tensor.entry_weights, before)


def test_xarray():
    array = xr.DataArray(
        [[1.0, np.nan], [3.0, 4.0], [5.0, 6.0]],
        dims=["time", "place"],
        coords={
            "time": np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "M8[ns]"),
            "height": ("place", [1, 2]),
        },
    )
    tensor = as_tensor(array)
    assert tensor.labels.names == ("time", "place")
    np.testing.assert_array_equal(tensor.labels.coords[0], array["time"].values)
    assert tensor.labels.coords[1] is None
    assert tensor.entry_weights.tolist() == [[True, False], [True, True], [True, True]]
    with pytest.raises(DataError, match="expected one DataArray"):
        as_tensor(xr.Dataset({"a": array}))
    with pytest.raises(DataError, match="mask has shape"):
        as_tensor(array, mask=np.ones((2, 2), bool))


def test_series_with_a_multiindex():
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("b", 2), ("a", 1)], names=["k", None])
    tensor = as_tensor(pd.Series([1.0, 2.0, 3.0, np.nan], index=index))
    np.testing.assert_array_equal(tensor.values, [[np.nan, 2], [1, 3]])
    assert tensor.labels == ModeLabels(["k", "mode_1"], [["a", "b"], [1, 2]])
    counts = as_tensor(pd.Series([1, 2, 3, 4], index=index))
    assert counts.values.dtype == np.int64
    assert counts.values.tolist() == [[4, 2], [1, 3]]
    part = as_tensor(pd.Series([1, 2, 3, 4], index=index).iloc[[0, 2]])  # no trace of the label "a"
    assert part.labels.coords[0].tolist() == ["b"]
    assert part.values.tolist() == [[1, 3]]
    with pytest.raises(DataError, match=r"lists \(b, 1\) more than once"):
        as_tensor(pd.Series([1.0, 2.0], index=index[[0, 0]]))


def test_series_equals_xarray():
    rng = np.random.default_rng(0)
    array = xr.DataArray(
        rng.random((2, 3, 4)),
        dims=["a", "b", "c"],
        coords={"a": ["x", "y"], "b": [1, 2, 3], "c": [0.5, 1.5, 2.5, 3.5]},
        name="v",
    )
    series = array.to_series().sample(frac=1, random_state=0)
    np.testing.assert_array_equal(as_tensor(series).values, array.values)
    assert as_tensor(series).labels == as_tensor(array).labels


def test_plain_series():
    tensor = as_tensor(pd.Series([1.0, None], index=pd.Index(["x", "y"], name="who")))
    assert tensor.labels == ModeLabels(["who"], [["x", "y"]])
    np.testing.assert_array_equal(tensor.values, [1, np.nan])


def test_wide_frame():
    frame = pd.DataFrame({"y": [1, 2], "x": [3, 4]}, index=pd.Index(["r", "s"], name="row"))
    tensor = as_tensor(frame, mask=[[True, False], [True, True]])
    assert tensor.values.tolist() == [[1, 3], [2, 4]]
    assert tensor.values.dtype == np.int64
    assert tensor.labels == ModeLabels(["row", "mode_1"], [["r", "s"], ["y", "x"]])
    assert tensor.entry_weights.tolist() == [[True, False], [True, True]]
    nullable = as_tensor(pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.5, 1.5]}))
    np.testing.assert_array_equal(nullable.values, [[1, 0.5], [np.nan, 1.5]])


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pd.DataFrame({"a": [1], "b": ["x"]}), r"columns \['b'\] are not numeric.*from_frame"),
        (pd.DataFrame({("a", "b"): [1]}), "MultiIndex"),
        (pd.Series(["x"]), "not numbers"),
        (pd.Series([], dtype=float, index=pd.MultiIndex.from_arrays([[], []])), "empty"),
        (pd.Series([1.0], index=pd.MultiIndex.from_tuples([("a", None)])), "missing labels"),
        (pd.Index([1, 2, 3]).to_frame().groupby(0), "expected a Series or a DataFrame"),
        ("data.npz", r"gcp\.read_tensor"),
        ([[1, 2], [3]], "cannot be read as an array"),
        ([["a", "b"]], "expected real, integer or boolean"),
        ([[1, None]], "object"),
        (None, "object"),
        ([[1j]], "complex"),
        ([], "empty"),
        (3.0, "single number"),
    ],
)
def test_refusals(data, match):
    with pytest.raises(DataError, match=match):
        as_tensor(data)


def sparse_matrix():
    """Explicit zeros and entries listed twice, as COO allows."""
    rows, columns = np.array([2, 0, 2, 1, 0]), np.array([1, 0, 1, 3, 2])
    return scipy.sparse.coo_matrix((np.array([1, 5, 2, 0, -4]), (rows, columns)), shape=(3, 4))


@pytest.mark.parametrize("form", ["coo", "csr", "csc", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("make", [scipy.sparse.coo_matrix, scipy.sparse.coo_array])
def test_scipy_sparse(form, make):
    data = make(sparse_matrix()).asformat(form)
    tensor = as_tensor(data)
    assert isinstance(tensor, SparseTensor)
    np.testing.assert_array_equal(tensor.to_dense().values, data.toarray())
    assert len(tensor.values) == 3
    assert tensor.values.dtype == data.dtype
    assert tensor.labels is None


def test_scipy_sparse_arrays_of_other_ndim():
    vector = scipy.sparse.coo_array(np.array([0, 3, 0, 1]))
    assert as_tensor(vector).to_dense().values.tolist() == [0, 3, 0, 1]
    subs = np.array([[0, 1, 0], [4, 2, 4], [1, 0, 1]])
    cube = scipy.sparse.coo_array((np.array([1.5, 2.0, 3.0]), tuple(subs)), shape=(2, 5, 3))
    tensor = as_tensor(cube)
    assert tensor.shape == (2, 5, 3)
    np.testing.assert_array_equal(tensor.to_dense().values, cube.toarray())


def test_scipy_sparse_of_other_types():
    flags = scipy.sparse.coo_array((np.ones(3, bool), ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert as_tensor(flags).values.dtype == bool
    assert as_tensor(flags).to_dense().values.tolist() == [[False, True], [True, False]]
    gap = scipy.sparse.coo_array((np.array([np.nan, 2.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert as_tensor(gap).missing.tolist() == [[0, 0]]
    with pytest.raises(DataError, match=r"csr_array has dtype complex128: expected real"):
        as_tensor(scipy.sparse.csr_array(np.eye(2) * 1j))
    with pytest.raises(DataError, match=r"at least 1: found 0 in \(0, 3\)"):
        as_tensor(scipy.sparse.csr_array((0, 3)))


def test_pydata_sparse():
    sparse = pytest.importorskip("sparse")
    x = np.zeros((3, 2, 4))
    x[0, 1, 2], x[2, 0, 0] = 5, -1
    for data in (sparse.COO.from_numpy(x), sparse.GCXS.from_numpy(x), sparse.DOK.from_numpy(x)):
        tensor = as_tensor(data)
        assert isinstance(tensor, SparseTensor)
        np.testing.assert_array_equal(tensor.to_dense().values, x)
    known = as_tensor(sparse.COO([[0, 1], [2, 0]], [4.0, 0.0], shape=(2, 3), fill_value=np.nan))
    assert isinstance(known, ObservedTensor)
    np.testing.assert_array_equal(known.to_dense().values, [[np.nan, np.nan, 4], [0, np.nan, np.nan]])
    with pytest.raises(DataError, match=r"COO array has the fill value 1\.0: expected 0 .* or NaN"):
        as_tensor(sparse.COO.from_numpy(x, fill_value=1.0))


class TestBesideListedEntries:
    """Masks and weights, whose truth is the dense tensor with the same."""

    @pytest.fixture
    def x(self, rng):
        return rng.poisson(0.7, (4, 3, 5)) * 1.0

    @pytest.fixture
    def sparse(self, x):
        cells = np.argwhere(x)
        return SparseTensor(cells, x[tuple(cells.T)], x.shape)

    @pytest.fixture
    def known(self, x, rng):
        cells = np.argwhere(rng.random(x.shape) < 0.6)
        return ObservedTensor(cells, x[tuple(cells.T)], x.shape, rng.integers(1, 4, len(cells)))

    masks = ([True, False, True, True], None, [True, True, False, True, True])

    def product_of_masks(self):
        a, b, c = (
            np.ones(n, bool) if m is None else np.array(m) for m, n in zip(self.masks, (4, 3, 5), strict=True)
        )
        return a[:, None, None] & b[None, :, None] & c

    def assert_same(self, listed, dense):
        found = listed if isinstance(listed, DenseTensor) else listed.to_dense()
        weights = [
            np.ones(t.shape) if t.entry_weights is None else t.entry_weights * 1.0 for t in (found, dense)
        ]
        np.testing.assert_allclose(*weights)
        inside = weights[0] > 0
        np.testing.assert_array_equal(found.values[inside], dense.values[inside])

    def test_nothing_given(self, sparse, known):
        assert as_tensor(sparse) is sparse
        assert as_tensor(known) is known

    @pytest.mark.parametrize("name", ["sparse", "known"])
    def test_masks_of_modes(self, name, request):
        tensor = request.getfixturevalue(name)
        found = as_tensor(tensor, mask=self.masks)
        assert type(found) is type(tensor)
        self.assert_same(found, as_tensor(tensor.to_dense(), mask=self.product_of_masks()))
        again = as_tensor(found, mask=[None, [True, False, True], None])
        both = self.product_of_masks() & np.array([True, False, True])[:, None]
        self.assert_same(again, as_tensor(tensor.to_dense(), mask=both))

    @pytest.mark.parametrize("name", ["sparse", "known"])
    def test_weights_of_entries(self, name, request, rng):
        tensor = request.getfixturevalue(name)
        # listed again in the order of subs, in which the weights are
        tensor = type(tensor)(tensor.subs, tensor.values, tensor.shape, tensor.entry_weights)
        weights = rng.integers(0, 3, len(tensor.values)) / 2
        full = np.ones(tensor.shape)
        full[tuple(tensor.subs.T)] = weights
        found = as_tensor(tensor, self.masks, weights)
        self.assert_same(found, as_tensor(tensor.to_dense(), self.product_of_masks(), full))

    @pytest.mark.parametrize("name", ["sparse", "known", "dense"])
    def test_sparse_companions(self, name, request, rng, sparse):
        tensor = sparse.to_dense() if name == "dense" else request.getfixturevalue(name)
        mask, weights = (rng.integers(0, 3, tensor.shape) / 2 for _ in range(2))
        given = [SparseTensor(np.argwhere(y), y[y > 0], y.shape) for y in (mask, weights)]
        dense = tensor if name == "dense" else tensor.to_dense()
        for m, w in ((1, 0), (0, 1), (1, 1)):
            found = as_tensor(tensor, given[0] if m else None, given[1] if w else None)
            assert isinstance(found, DenseTensor if name == "dense" else ObservedTensor)
            self.assert_same(found, as_tensor(dense, mask > 0 if m else None, weights if w else None))

    def test_missing_cells_and_weights_stay(self, x):
        tensor = SparseTensor(
            np.argwhere(x),
            x[x > 0],
            x.shape,
            np.arange(np.count_nonzero(x)) % 3,
            [[1, 2, 1, 0], None, None],
            [[0, 0, 0]],
        )
        self.assert_same(as_tensor(tensor, self.masks), as_tensor(tensor.to_dense(), self.product_of_masks()))
        everything = SparseTensor(np.argwhere(x > -1), np.full(x.size, 2.0), x.shape)
        doubled = as_tensor(tensor.to_dense(), entry_weights=np.full(x.shape, 2.0))
        self.assert_same(as_tensor(tensor, entry_weights=everything), doubled)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            (
                {"mask": np.ones((4, 3, 5), bool)},
                r"a list of 3 boolean vectors or None.*found of shape \(4, 3, 5\)",
            ),
            ({"mask": "all"}, "found str"),
            ({"mask": [None, None]}, "mask has 2 items"),
            ({"mask": [None, [True], None]}, r"mask of mode 1 has shape \(1,\).*expected 3 booleans"),
            ({"mask": [None, [1, 0, 1], None]}, r"mask of mode 1 has shape \(3,\) and dtype int64"),
            (
                {"entry_weights": np.ones((4, 3, 5))},
                r"entry_weights has shape \(4, 3, 5\): expected one number per",
            ),
            ({"entry_weights": -1.0}, "must be 0, or from 1e-100 to 1e\\+100: found -1.0\\.$"),
            ({"mask": SparseTensor([[0, 0]], [1], (4, 3))}, r"mask has shape \(4, 3\): .*\(4, 3, 5\)"),
            ({"mask": ObservedTensor([[3, 2, 4]], [1])}, "mask is an ObservedTensor"),
            ({"entry_weights": SparseTensor([[3, 2, 4]], [-1])}, "found -1.0 at entry 0"),
            ({"mask": SparseTensor([[3, 2, 4]], [1], missing=[[0, 0, 0]])}, "expected values alone"),
        ],
    )
    def test_refusals(self, sparse, known, options, match):
        for tensor in (sparse, known):
            with pytest.raises(DataError, match=match):
                as_tensor(tensor, **options)

    def test_weights_need_an_order(self):
        with pytest.raises(DataError, match="coo_matrix, whose entries have no order to go by"):
            as_tensor(sparse_matrix(), entry_weights=np.ones(5))
        masked = as_tensor(sparse_matrix(), mask=[None, [True, True, False, True]])
        assert masked.to_dense().entry_weights[:, 2].tolist() == [False] * 3


def test_a_large_series_becomes_a_list_when_it_is_said_how():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_arrays([rng.permutation(3000), rng.permutation(3000)], names=["a", "b"])
    series = pd.Series(rng.random(3000), index=index)
    with pytest.raises(DataError, match=r"leaves 8,997,000 of the 9,000,000 cells"):
        as_tensor(series)
    tensor = from_frame(series.reset_index(name="value"), ["a", "b"], "value", unlisted="missing")
    assert isinstance(tensor, ObservedTensor)
    assert tensor.labels.names == ("a", "b")
    back = pd.Series(tensor.values, pd.MultiIndex.from_arrays(tensor.subs.T.astype(int), names=["a", "b"]))
    pd.testing.assert_series_equal(back.sort_index(), series.sort_index())


def test_no_library_is_imported_for_arrays():
    import subprocess
    import sys

    code = (
        "import sys; import gcp.io, gcp.datasets; from gcp.tensors.intake.coerce import as_tensor; "
        "as_tensor([1.0]); gcp.datasets.load_titanic(); "
        "print([m for m in ('pandas', 'xarray', 'pyarrow') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    for call in (lambda: as_tensor(endless), lambda: get_loss("poisson").value(endless, 1.0)):
        with pytest.raises(GcpError, match="array"):
            call()
