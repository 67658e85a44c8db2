"""Files with names: netCDF, AnnData, loom, Excel; the truth is what their own libraries wrote."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import gcp
from gcp import DataError, FormatError, GcpError, ParameterError
from gcp.cli import main

X = np.arange(12.0).reshape(3, 4)
COUNTS = sp.random_array((6, 5), density=0.4, rng=np.random.default_rng(1), format="csr")
CELLS, GENES = [f"cell{k}" for k in range(6)], [f"gene{k}" for k in range(5)]


def annotated(content=COUNTS, **more):
    anndata = pytest.importorskip("anndata")
    return anndata.AnnData(content, pd.DataFrame(index=CELLS), pd.DataFrame(index=GENES), **more)


# ---- netCDF


@pytest.fixture
def weather():
    xr = pytest.importorskip("xarray")
    days = pd.date_range("2020-01-01", periods=3)
    x = X.copy()
    x[1, 2] = np.nan
    return xr.Dataset(
        {"t": (("time", "place"), x, {"units": "K"}), "n": (("time",), [1, 2, 3])},
        {"time": days, "place": [10, 20, 30, 40]},
    )


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
@pytest.mark.parametrize("ending", [".nc", ".nc4", ".cdf"])
def test_netcdf(tmp_path, weather, engine, ending):
    path = tmp_path / f"a{ending}"
    weather.to_netcdf(path, engine=engine)
    tensor = gcp.read_tensor(path, variable="t")
    np.testing.assert_array_equal(tensor.values, weather["t"].values)
    assert tensor.labels.names == ("time", "place")
    assert np.array_equal(tensor.labels.coords[0], weather["time"].values)
    assert tensor.labels.coords[1].tolist() == [10, 20, 30, 40]
    with pytest.raises(DataError, match=r"several arrays \(t 3 x 4, n 3\)"):
        gcp.read_tensor(path)
    with pytest.raises(ParameterError, match="no variable 'x'"):
        gcp.read_tensor(path, variable="x")
    with open(path, "rb") as file:
        np.testing.assert_array_equal(gcp.read_tensor(file, variable="n").values, [1, 2, 3])


def test_netcdf_groups_and_packed_numbers(tmp_path, weather):
    path = tmp_path / "a.nc"
    packed = {"t": {"dtype": "i2", "scale_factor": 0.5, "_FillValue": -9}}
    weather[["t"]].to_netcdf(path, engine="h5netcdf", group="inner", encoding=packed)
    np.testing.assert_array_equal(gcp.read_tensor(path, variable="inner/t").values, weather["t"].values)
    path.write_bytes(b"no netCDF")
    with pytest.raises(FormatError, match="not a netCDF file"):
        gcp.read_tensor(path)


def outside(path, target):
    h5py = pytest.importorskip("h5py")
    with h5py.File(target, "w") as file:
        file["x"] = X
    with h5py.File(path, "w") as file:
        file["t"] = h5py.ExternalLink(str(target), "/x")


@pytest.mark.parametrize("ending", [".nc", ".h5ad", ".loom", ".mat"])
def test_no_link_is_followed(tmp_path, ending):
    (tmp_path / "secret").mkdir()
    path = tmp_path / f"a{ending}"
    outside(path, tmp_path / "secret" / "b.h5")
    with pytest.raises(DataError, match="t lies in another file, which is not read for safety"):
        gcp.read_tensor(path)


# ---- cells by genes


@pytest.mark.parametrize("content", [COUNTS, COUNTS.tocsc(), COUNTS.toarray()], ids=["csr", "csc", "dense"])
def test_h5ad(tmp_path, content):
    layer = np.arange(30.0).reshape(6, 5)
    adata = annotated(content, layers={"doubled": content * 2, "numbers": layer})
    adata.write_h5ad(tmp_path / "a.h5ad")
    for tensor in (gcp.read_tensor(tmp_path / "a.h5ad"), gcp.tensors.intake.coerce.as_tensor(adata)):
        assert tensor.kind == ("sparse" if sp.issparse(content) else "dense")
        assert tensor.labels == gcp.ModeLabels(["obs", "var"], [CELLS, GENES])
        np.testing.assert_array_equal(tensor.to_dense().values, COUNTS.toarray())
    doubled = gcp.read_tensor(tmp_path / "a.h5ad", variable="layers/doubled")
    np.testing.assert_array_equal(doubled.to_dense().values, 2 * COUNTS.toarray())
    np.testing.assert_array_equal(
        gcp.read_tensor(tmp_path / "a.h5ad", variable="layers/numbers").values, layer
    )
    with pytest.raises(ParameterError, match=r"no variable 'layers/none'; .*X 6 x 5, layers/doubled 6 x 5"):
        gcp.read_tensor(tmp_path / "a.h5ad", variable="layers/none")


@pytest.mark.parametrize("layout", ["csr", "csc", "of old", "dense"])
def test_h5ad_as_documented(tmp_path, layout):
    """What anndata's page on its format says, written by h5py alone."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        if layout == "dense":
            file["X"] = COUNTS.toarray()
        else:
            group, matrix = file.create_group("X"), COUNTS.tocsc() if layout == "csc" else COUNTS
            for name in ("data", "indices", "indptr"):
                group[name] = getattr(matrix, name)
            of_old = {"h5sparse_format": "csr", "h5sparse_shape": (6, 5)}
            documented = {"encoding-type": f"{layout}_matrix", "encoding-version": "0.1.0", "shape": (6, 5)}
            group.attrs.update(of_old if layout == "of old" else documented)
        file["obs/cell"] = CELLS
        file["obs"].attrs["_index"] = "cell"
        file["var/_index/codes"], file["var/_index/categories"] = np.arange(5)[::-1], GENES[::-1]
        file["var"].attrs["_index"] = "_index"
    tensor = gcp.read_tensor(tmp_path / "a.h5ad")
    assert tensor.labels == gcp.ModeLabels(["obs", "var"], [CELLS, GENES])
    np.testing.assert_array_equal(tensor.to_dense().values, COUNTS.toarray())


def test_h5ad_raw_and_without_x(tmp_path):
    adata = annotated()
    adata.raw = adata.copy()
    adata = adata[:, :2].copy()
    adata.write_h5ad(tmp_path / "a.h5ad")
    raw = gcp.read_tensor(tmp_path / "a.h5ad", variable="raw/X")
    assert raw.labels.coords[1].tolist() == GENES
    assert gcp.read_tensor(tmp_path / "a.h5ad").labels.coords[1].tolist() == GENES[:2]
    annotated(None, layers={"counts": COUNTS}).write_h5ad(tmp_path / "b.h5ad")
    assert gcp.read_tensor(tmp_path / "b.h5ad").shape == (6, 5)
    with pytest.raises(DataError, match="has no X"):
        gcp.fit_gcp(annotated(None, layers={"counts": COUNTS}), 1)


def test_views_and_files_of_anndata(tmp_path):
    anndata = pytest.importorskip("anndata")
    adata = annotated()
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    truth = gcp.fit_gcp(COUNTS[:, :3], 1, random_state=0)
    for data in (adata[:, :3], backed[:, :3]):
        found = gcp.fit_gcp(data, 1, random_state=0)
        assert found.labels.coords[1].tolist() == GENES[:3]
        np.testing.assert_array_equal(found.factors[1], truth.factors[1])


@pytest.mark.parametrize("effects", [False, True])
def test_the_model_goes_back_by_name(effects):
    adata = annotated()
    result = gcp.fit_gcp(adata, 2, random_state=0, main_effects=effects)
    order = [4, 0, 2]
    part = adata[order, GENES[::-1]]
    found = result.to_anndata(part, key="cp")
    values = found.obsm["cp"] @ found.varm["cp"].T
    if effects:
        values = (
            values + found.obs["cp_main_effect"].to_numpy()[:, None] + found.var["cp_main_effect"].to_numpy()
        )
        values = values + found.uns["cp"]["intercept"]
    np.testing.assert_allclose(values, result.model_values()[order][:, ::-1], rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(found.uns["cp"]["weights"], result.weights)
    assert "cp" not in part.obsm
    stranger = part.copy()
    stranger.obs_names = ["cell4", "new", "cell2"]
    with pytest.raises(DataError, match="1 names of obs are not among the model's, first 'new'"):
        result.to_anndata(stranger)
    with pytest.raises(ParameterError, match="mode_0, mode_1: expected one that is called obs or var"):
        gcp.fit_gcp(np.ones((2, 2)), 1, random_state=0).to_anndata(adata)
    with pytest.raises(ParameterError, match="adata must be an AnnData"):
        result.to_anndata(COUNTS)


def test_loom(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.loom"
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=COUNTS.toarray().T, chunks=(2, 3), compression="gzip")
        file["layers/spliced"] = 2 * COUNTS.toarray().T
        file["row_attrs/Gene"], file["col_attrs/CellID"] = GENES, CELLS
    for options, factor in (({}, 1), ({"variable": "layers/spliced"}, 2)):
        tensor = gcp.read_tensor(path, **options)
        assert tensor.kind == "sparse"
        assert tensor.labels == gcp.ModeLabels(["obs", "var"], [CELLS, GENES])
        np.testing.assert_array_equal(tensor.to_dense().values, factor * COUNTS.toarray())
    with h5py.File(path, "a") as file:
        del file["matrix"]
        file.create_dataset("matrix", (10**9, 10**6), "f4", chunks=(64, 64))
    with pytest.raises(FormatError, match="which the file does not hold"):
        gcp.read_tensor(path)


# ---- sheets


@pytest.fixture
def book(tmp_path):
    pytest.importorskip("openpyxl")
    table = pd.DataFrame({"who": ["a", "a", "NA"], "when": [2001, 2002, 2001], "value": [1.5, None, 3]})
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as writer:
        table.to_excel(writer, sheet_name="long", index=False)
        wide = pd.DataFrame(
            {"who": ["a", "b"], pd.Timestamp("2020-01-01"): [1, 2], pd.Timestamp("2020-01-02"): [3, 4]}
        )
        wide.to_excel(writer, sheet_name="wide", index=False)
        table.to_excel(writer, sheet_name="headless", index=False, header=False)
    return path


def test_sheets(book, capsys):
    tensor = gcp.read_tensor(book, variable="long", unlisted="missing")
    assert tensor.labels == gcp.ModeLabels(["who", "when"], [["NA", "a"], [2001, 2002]])
    np.testing.assert_array_equal(tensor.values, [[3, np.nan], [1.5, np.nan]])
    wide = gcp.read_tensor(book, variable="wide", wide="day")
    days = np.array(["2020-01-01", "2020-01-02"], "M8[D]")
    assert wide.labels == gcp.ModeLabels(["who", "day"], [["a", "b"], days])
    assert wide.values.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(DataError, match=r"several sheets: .* of 'long', 'wide', 'headless'"):
        gcp.read_tensor(book)
    with pytest.raises(ParameterError, match="no sheet 'none'"):
        gcp.read_tensor(book, variable="none")
    with pytest.raises(DataError, match=r"Columns are called .*wide="):
        gcp.read_tensor(book, variable="wide")
    with pytest.raises(DataError, match=r"Columns are called .*header=False"):
        gcp.read_tensor(book, variable="headless", unlisted="missing")
    options = [
        "--variable",
        "headless",
        "--no-header",
        "--modes",
        "0,1",
        "--value",
        "2",
        "--unlisted",
        "missing",
    ]
    assert main(["info", str(book), *options]) == 0
    assert "2 x 2" in capsys.readouterr().out


def test_text_of_a_sheet_stays_text(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [("zip", "when", "value"), ("007", 2, 1), ("7", 10, "2.5"), ("1e5", 2, None)]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    tensor = gcp.read_tensor(tmp_path / "a.xlsx", unlisted="zero")
    assert tensor.labels == gcp.ModeLabels(["zip", "when"], [["007", "1e5", "7"], [2, 10]])
    np.testing.assert_array_equal(tensor.values, [[1, 0], [np.nan, 0], [0, 2.5]])


def test_a_row_of_a_sheet_is_named(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"
    pd.DataFrame({"who": ["a", "b", "c"], "value": [1, "x", 3]}).to_excel(path, index=False)
    with pytest.raises(DataError, match="found 'x' in row 3"):
        gcp.read_tensor(path)


# ---- damage


@pytest.mark.parametrize("kind", [".nc", ".h5ad", ".xlsx", ".feather", ".npz"])
def test_damaged_files_give_errors_of_gcp(tmp_path, weather, kind, rng):
    path, options = tmp_path / f"a{kind}", {}
    if kind == ".nc":
        weather.to_netcdf(path, engine="h5netcdf")
        options = {"variable": "t"}
    elif kind == ".h5ad":
        annotated().write_h5ad(path)
    elif kind == ".npz":
        sp.save_npz(path, COUNTS)
    else:
        table = pd.DataFrame({"who": ["a", "b"], "value": [1.5, 2]})
        table.to_excel(path, index=False) if kind == ".xlsx" else table.to_feather(path)
    whole = path.read_bytes()
    used = np.flatnonzero(np.frombuffer(whole, np.uint8))
    for at in rng.choice(used, 25):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with contextlib.suppress(GcpError):
            assert gcp.read_tensor(path, **options).ndim


def test_a_heap_that_hdf5_would_read_without_end(tmp_path):
    path = tmp_path / "a.h5ad"
    annotated().write_h5ad(path)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    at = heap + 16
    while content[at + 16 : at + 22] != b"_index":
        at += 16 + (int.from_bytes(content[at + 8 : at + 16], "little") + 7) // 8 * 8
    rest = heap + int.from_bytes(content[heap + 8 : heap + 16], "little") - at
    content[at + 8 : at + 16] = (rest - 48).to_bytes(8, "little")  # into the zeros at the end
    path.write_bytes(content)
    with pytest.raises(FormatError, match="an object of no length"):
        gcp.read_tensor(path)
    with pytest.raises(FormatError, match=r"^the file: "):
        gcp.read_tensor(io.BytesIO(content), format="h5ad")
