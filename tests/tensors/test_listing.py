"""The rule that turns a table of cells into a dense, sparse or observed tensor."""

import numpy as np
import pytest

from gcp import DenseTensor, ObservedTensor, SparseTensor, fit_gcp, from_frame
from gcp.base.errors import DataError, ParameterError
from gcp.tensors.kinds import tensor_from_listing


def listing(n, shape, **options):
    """The first n cells of an array, in C order, with the values 1, 2, 3, ..."""
    subs = np.stack(np.unravel_index(np.arange(n), shape), axis=1)
    return tensor_from_listing(subs, np.arange(1.0, n + 1), shape, **options)


@pytest.mark.parametrize(
    ("n", "shape", "is_dense"),
    [
        (1, (1024, 1024), True),  # 2**20 cells
        (1, (1024, 1025), False),
        (200_000, (2000, 1000), True),  # 10 cells for each listed one
        (199_999, (2000, 1000), False),
    ],
)
def test_when_it_is_dense(n, shape, is_dense):
    sparse = listing(n, shape, unlisted="zero")
    known = listing(n, shape, unlisted="missing")
    assert type(sparse) is (DenseTensor if is_dense else SparseTensor)
    assert type(known) is (DenseTensor if is_dense else ObservedTensor)
    assert sparse.values.max() == np.nanmax(known.values) == n
    for tensor in (sparse, known):
        dense = tensor if is_dense else tensor.to_dense()
        assert np.count_nonzero(np.nan_to_num(dense.values)) == n
        assert dense.values.flat[n - 1] == n


def test_rows_of_one_cell_do_not_make_it_dense():
    subs = np.zeros((300_000, 2), np.uint32)
    subs[0] = 1999, 999
    tensor = tensor_from_listing(subs, np.ones(300_000, int), (2000, 1000), unlisted="zero")
    assert isinstance(tensor, SparseTensor)
    assert tensor.values.tolist() == [299_999, 1]


@pytest.mark.parametrize("shape", [(3, 3), (2**40, 2**40, 3)])
def test_unlisted_cells_need_a_meaning(shape):
    cells = np.prod([float(size) for size in shape])
    subs = np.array([[0] * len(shape), [0] * len(shape)])
    with pytest.raises(
        DataError, match=r'cells of shape .* are not listed.*unlisted="zero".*unlisted="missing"'
    ):
        tensor_from_listing(subs, np.ones(2), shape, unlisted=None)
    if cells > 2**63:
        with pytest.raises(DataError, match=r"3,626,777,458,843,887,524,118,527 of the 3,6.*528 cells"):
            tensor_from_listing(subs, np.ones(2), shape, unlisted=None)


def test_choices():
    one = np.zeros((2, 1), int)
    with pytest.raises(ParameterError, match='unlisted must be "zero" or "missing": found \'none\''):
        tensor_from_listing(one, np.ones(2), (2**30,), unlisted="none")
    with pytest.raises(ParameterError, match=r"aggregate must be .* found 'median'"):
        tensor_from_listing(one, np.ones(2), (2**30,), unlisted="zero", aggregate="median")
    with pytest.raises(DataError, match=r"row 0 and row 1 list the same cell \(0,\)"):
        tensor_from_listing(one, np.ones(2), (2**30,), unlisted="zero", aggregate="error")


def test_nan_is_a_missing_cell():
    subs = np.array([[0, 0], [5, 5], [7, 1]])
    for unlisted in ("zero", "missing"):
        tensor = tensor_from_listing(subs, np.array([1, np.nan, 3]), (10**6, 10**6), unlisted=unlisted)
        assert tensor.values.tolist() == [1, 3]
    sparse = tensor_from_listing(subs, np.array([1, np.nan, 3]), (10**6, 10**6), unlisted="zero")
    assert sparse.missing.tolist() == [[5, 5]]


def test_a_table_of_labels_that_is_too_large_to_store():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.integers(0, 3000, 5000) for name in ("user", "page", "day")})
    frame["user"] = "u" + frame["user"].astype(str)
    frame = pd.concat([frame, frame.iloc[[7]]], ignore_index=True)
    tensor = from_frame(frame, ["user", "page", "day"])
    assert isinstance(tensor, SparseTensor)
    counts = frame.groupby(["user", "page", "day"]).size()
    assert tensor.labels.coords[0].tolist() == sorted(set(frame["user"]))
    coords = tensor.labels.coords
    found = {
        tuple(c[i] for c, i in zip(coords, row, strict=True)): n
        for row, n in zip(tensor.subs.tolist(), tensor.values.tolist(), strict=True)
    }
    assert found == counts.to_dict()
    known = from_frame(
        frame.assign(n=2.5), ["user", "page", "day"], "n", unlisted="missing", aggregate="mean"
    )
    assert isinstance(known, ObservedTensor)
    assert set(known.values.tolist()) == {2.5}
    with pytest.raises(DataError, match=r"row 7 .* and row 5000 \(counting from 0\) list the same"):
        from_frame(frame.assign(n=1), ["user", "page", "day"], "n", "zero", "error")
    with pytest.raises(DataError, match=r"cells of shape .* are not listed"):
        from_frame(frame.assign(n=1), ["user", "page", "day"], "n")


@pytest.mark.parametrize("unlisted", ["zero", "missing"])
def test_a_fit_finds_the_same(unlisted, rng):
    """On either side of the rule."""
    cells = rng.integers(0, [30, 20, 10], (400, 3))
    counts = rng.poisson(3.0, 400)
    listed = tensor_from_listing(cells, counts, (30, 20, 10), unlisted=unlisted, aggregate="sum")
    assert isinstance(listed, DenseTensor)
    kind = SparseTensor if unlisted == "zero" else ObservedTensor
    subs = np.stack(
        np.nonzero(np.ones(listed.shape) if listed.entry_weights is None else listed.entry_weights), 1
    )
    other = kind(subs, listed.values[tuple(subs.T)], listed.shape)
    options = {"loss": "poisson", "random_state": 0, "solver": "lbfgsb", "tol": 1e-12}
    one, two = (fit_gcp(data, 2, **options) for data in (listed, other))
    assert one.objective == pytest.approx(two.objective, rel=1e-6)
