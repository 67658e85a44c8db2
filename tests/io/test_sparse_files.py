"""Sparse arrays as SciPy, pydata, MATLAB and Matrix Market write them; the truth is what was written."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import gcp
from gcp import DataError, FormatError, GcpError, ObservedTensor, ParameterError, SparseTensor

M = sp.random_array((6, 5), density=0.4, rng=np.random.default_rng(0))


def dense(tensor):
    return tensor.to_dense().values


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo", "dia"])
@pytest.mark.parametrize("make", [sp.coo_array, sp.coo_matrix])
def test_of_scipy(tmp_path, kind, make):
    path = tmp_path / "a.npz"
    sp.save_npz(path, make(M).asformat(kind))
    tensor = gcp.read_tensor(path)
    assert isinstance(tensor, SparseTensor)
    np.testing.assert_array_equal(dense(tensor), M.toarray())
    if kind != "dia":  # which keeps zeros
        known = gcp.read_tensor(path, unlisted="missing")
        assert isinstance(known, ObservedTensor)
        np.testing.assert_array_equal(dense(known), np.where(M.toarray() == 0, np.nan, M.toarray()))


def test_rows_that_are_no_rows_are_not_followed(tmp_path):
    """SciPy would read and write beyond the arrays."""
    broken = M.tocsr()
    for name, values in (("indices", [10**6] * broken.nnz), ("indptr", [0, 10**6, 3, 2, 1, 0, broken.nnz])):
        arrays = {one: getattr(broken, one) for one in ("data", "indices", "indptr", "shape")}
        arrays[name] = np.array(values, np.int32)
        np.savez(tmp_path / "a.npz", format=b"csr", **arrays)
        with pytest.raises(FormatError, match="damaged"):
            gcp.read_tensor(tmp_path / "a.npz")


@pytest.mark.parametrize("fill", [0, np.nan])
@pytest.mark.parametrize("axes", [None, (0,), (1,), (2,), (0, 2), (1, 2)])
def test_of_pydata(tmp_path, fill, axes):
    sparse = pytest.importorskip("sparse")
    array = sparse.random((4, 3, 5), density=0.3, random_state=0)
    array = sparse.COO(array.coords, array.data, array.shape, fill_value=float(fill))
    saved = array if axes is None else sparse.GCXS.from_coo(array, compressed_axes=axes)
    sparse.save_npz(tmp_path / "a.npz", saved)
    tensor = gcp.read_tensor(tmp_path / "a.npz")
    assert isinstance(tensor, SparseTensor if fill == 0 else ObservedTensor)
    np.testing.assert_array_equal(dense(tensor), array.todense())


def test_of_pydata_with_another_fill_value(tmp_path):
    sparse = pytest.importorskip("sparse")
    sparse.save_npz(
        tmp_path / "a.npz", sparse.COO.from_numpy(np.array([[1.0, 2.0], [1.0, 1.0]]), fill_value=1.0)
    )
    with pytest.raises(DataError, match=r"fill value 1\.0"):
        gcp.read_tensor(tmp_path / "a.npz")
    gcp.write_tensor(tmp_path / "b.npz", np.ones((2, 2)))
    with pytest.raises(ParameterError, match="unlisted does not apply"):
        gcp.read_tensor(tmp_path / "b.npz", unlisted="zero")


SQUARE = M.toarray()[:5] + M.toarray()[:5].T
SYMMETRIES = {
    "general": M.toarray(),
    "symmetric": SQUARE,
    "skew-symmetric": np.tril(SQUARE, -1) - np.tril(SQUARE, -1).T,
}


@pytest.mark.parametrize("symmetry", SYMMETRIES)
@pytest.mark.parametrize(
    "form", [np.asarray, sp.coo_array, lambda x: sp.coo_array(np.round(x * 9).astype(int))]
)
@pytest.mark.parametrize("ending", [".mtx", ".mtx.gz"])
def test_matrix_market(tmp_path, symmetry, form, ending):
    matrix = form(SYMMETRIES[symmetry])
    path = tmp_path / f"a{ending}"
    scipy.io.mmwrite(tmp_path / "plain.mtx", matrix, comment="made here", symmetry=symmetry)
    content = (tmp_path / "plain.mtx").read_bytes()
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    found = gcp.read_tensor(path)
    assert isinstance(found, SparseTensor if sp.issparse(matrix) else gcp.DenseTensor)
    truth = scipy.io.mmread(tmp_path / "plain.mtx")
    truth = truth.toarray() if sp.issparse(truth) else truth
    np.testing.assert_allclose(dense(found), truth, rtol=1e-15)
    assert dense(found).dtype.kind == truth.dtype.kind


def test_matrix_market_patterns_and_ratings(tmp_path):
    path = tmp_path / "a.mtx"
    path.write_text("%%MatrixMarket matrix coordinate pattern general\n% c\n\n3 3 2\n1 1\n3 2\n")
    assert dense(gcp.read_tensor(path)).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    path.write_text("%%MatrixMarket matrix coordinate integer general\n2 3 2\n1 1 5\n2 3 0\n")
    known = gcp.read_tensor(path, unlisted="missing")
    assert known.subs.tolist() == [[0, 0], [1, 2]]
    assert known.values.tolist() == [5, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coordinate real general\n3 3 9223372036854775808\n1 1 1\n", "not a Matrix Market file"),
        ("coordinate real general\n3 3 4611686018427387904\n1 1 1\n", "promises .* found 1, less"),
        ("array real general\n9000000000 9000000000\n1\n", "promises 81000000000000000000"),
        ("array real symmetric\n9000000000 9000000000\n1\n", "promises 40500000004500000000"),
        ("coordinate real general\n3 3 1\n4 1 1\n", "subscript 3 in mode 0"),
        ("coordinate real general\n3 3 1\n0 1 1\n", "subscript -1 in mode 0"),
        ("coordinate real general\n3 3 1\n1 1\n", "expected 3 numbers a line"),
        ("coordinate real general\n3 3 1\n1 1 x\n", "not a Matrix Market file"),
        ("coordinate complex general\n3 3 1\n1 1 1 1\n", "expected real numbers"),
        ("coordinate real symmetric\n3 4 1\n1 1 1\n", "is said to be symmetric"),
    ],
)
def test_matrix_market_that_is_none(tmp_path, text, message):
    path = tmp_path / "a.mtx"
    path.write_text(f"%%MatrixMarket matrix {text}")
    with pytest.raises(DataError, match=message):
        gcp.read_tensor(path)


X = np.arange(24.0).reshape(2, 3, 4)
LISTED = {
    "subs": np.array([[1, 1, 1], [2, 3, 4]]),
    "vals": np.array([[1.0], [2.0]]),
    "size": np.array([[2, 3, 4]]),
}


def matlab_73(path, groups):
    """A file as MATLAB writes it: 512 bytes of its own, modes reversed, structs as groups."""
    h5py = pytest.importorskip("h5py")

    def put(parent, name, item):
        if isinstance(item, dict):
            group = parent.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, one in item.items():
                put(group, key, one)
        elif sp.issparse(item):
            group, csc = parent.create_group(name), item.tocsc()
            group.attrs["MATLAB_class"], group.attrs["MATLAB_sparse"] = (
                np.bytes_("double"),
                np.uint64(item.shape[0]),
            )
            group["jc"] = csc.indptr.astype(np.uint64)
            if csc.nnz:
                group["ir"], group["data"] = csc.indices.astype(np.uint64), csc.data
        else:
            array = np.atleast_2d(item)
            parent[name] = array.T
            kind = "logical" if array.dtype == np.uint8 else "double"
            parent[name].attrs["MATLAB_class"] = np.bytes_(kind)

    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        for name, item in groups.items():
            put(file, name, item)
    raw = bytearray(path.read_bytes())
    raw[:128] = b"MATLAB 7.3 MAT-file".ljust(116) + b"\0" * 8 + b"\x00\x02IM"
    path.write_bytes(raw)


def matlab_5(path, groups):
    scipy.io.savemat(path, groups)


@pytest.mark.parametrize("save", [matlab_5, matlab_73])
def test_matlab(tmp_path, save):
    path = tmp_path / "a.mat"

    def read(groups, **options):
        save(path, groups)
        return gcp.read_tensor(path, **options)

    np.testing.assert_array_equal(read({"X": X}).values, X)
    assert read({"X": np.eye(2, dtype=np.uint8)}).values.tolist() == [[1, 0], [0, 1]]
    listed = read({"S": LISTED})
    assert isinstance(listed, SparseTensor)
    assert (listed.shape, listed.subs.tolist(), listed.values.tolist()) == (
        (2, 3, 4),
        [[0, 0, 0], [1, 2, 3]],
        [1, 2],
    )
    assert read({"S": LISTED}, unlisted="missing").n_known == 2
    np.testing.assert_array_equal(dense(read({"S": sp.csc_array(M)})), M.toarray())
    assert read({"S": sp.csc_array((3, 2))}).shape == (3, 2)
    inside = {"data": {"spikes": X, "fs": 1e3, "deep": {"S": LISTED}}, "Y": X[0]}
    np.testing.assert_array_equal(read(inside).values, X[0])  # the only one outside of structs
    np.testing.assert_array_equal(read(inside, variable="data/spikes").values, X)
    assert read(inside, variable="data/deep/S").shape == (2, 3, 4)
    del inside["Y"]
    with pytest.raises(
        DataError, match=r"data/spikes 2 x 3 x 4, data/fs 1 x 1, data/deep/S|data/deep/S.*data/fs"
    ):
        read(inside)
    with pytest.raises(ParameterError, match="no variable 'data/none'"):
        read(inside, variable="data/none")
    with pytest.raises(ParameterError, match="unlisted does not apply"):
        read({"X": X}, unlisted="zero")
    tensor = {
        "T": {"data": np.arange(6.0).reshape(3, 2), "size": np.array([[3, 2, 1]])}
    }  # sizes of 1 are lost
    np.testing.assert_array_equal(read(tensor).values, np.arange(6.0).reshape(3, 2, 1))


def test_matlab_subscripts_in_bytes(tmp_path):
    """Subscripts 0, of whoever counts from 0, are refused, and not the last of 256 positions."""
    path = tmp_path / "a.mat"
    fields = {"vals": np.array([[5], [6]]), "size": np.array([[300, 2]], "u2")}
    scipy.io.savemat(path, {"T": fields | {"subs": np.array([[1, 1], [255, 2]], "u1")}})
    assert gcp.read_tensor(path).subs.tolist() == [[0, 0], [254, 1]]
    scipy.io.savemat(path, {"T": fields | {"subs": np.array([[0, 1], [255, 2]], "u1")}})
    with pytest.raises(DataError, match="has the subscript -1 in mode 0"):
        gcp.read_tensor(path)


def test_matlab_5_damaged(tmp_path, rng):
    """Among others in the types of elements, which SciPy would follow out of its memory."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"S": LISTED, "M": sp.csc_array(M), "X": X})
    whole = path.read_bytes()
    kind = whole.rindex(struct.pack("<II", 9, X.nbytes))  # double
    for at, change in [
        (kind + 1, 2),
        *((at, 1 << rng.integers(8)) for at in rng.integers(128, len(whole), 60)),
    ]:
        damaged = bytearray(whole)
        damaged[at] ^= change
        path.write_bytes(damaged)
        with contextlib.suppress(GcpError):
            assert gcp.read_tensor(path).shape[0] > 0
        if at == kind + 1:
            with pytest.raises(FormatError, match="an element of type 521 at byte"):
                gcp.read_tensor(path)


def test_matlab_73_damaged(tmp_path, rng):
    path = tmp_path / "a.mat"
    matlab_73(path, {"S": sp.csc_array(M)})
    whole = path.read_bytes()
    used = np.flatnonzero(np.frombuffer(whole, np.uint8)[512:]) + 512
    for at in rng.choice(used, 60):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with contextlib.suppress(GcpError):
            assert gcp.read_tensor(path).shape[1] > 0
