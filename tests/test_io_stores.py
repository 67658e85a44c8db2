"""HDF5 files and zarr folders; the truth is what h5py and zarr themselves wrote."""

import numpy as np
import pytest

import gcp
from gcp import (
    DataError,
    DenseTensor,
    FormatError,
    ParameterError,
    PartitionedTensor,
    read_tensor,
    write_tensor,
)
from gcp.io import array_source

SHAPE = (13, 9, 7)


def write_hdf5(path, arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        file.create_group("empty")


def write_zarr(path, arrays):
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group(str(path), mode="w")
    for name, array in arrays.items():
        group, _, last = name.rpartition("/")
        group = root.require_group(group) if group else root
        create = group.create_array if hasattr(group, "create_array") else group.create_dataset  # zarr 2
        stored = create(last, shape=array.shape, chunks=array.shape, dtype=array.dtype)
        stored[...] = array
    root.create_group("empty")


@pytest.fixture(params=[".h5", ".hdf5", ".zarr"])
def save(request, tmp_path):
    def write(**arrays):
        path = tmp_path / f"a{request.param}"
        (write_zarr if request.param == ".zarr" else write_hdf5)(path, arrays)
        return path

    return write


@pytest.fixture
def x(rng):
    x = rng.poisson(2.0, SHAPE).astype(float)
    x[rng.random(SHAPE) < 0.1] = np.nan
    return x


def test_the_only_array_is_read_whole(save, x):
    tensor = read_tensor(save(x=x))
    assert isinstance(tensor, DenseTensor)
    assert np.array_equal(tensor.values, x, equal_nan=True)


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "?"])
def test_types_are_kept(save, x, dtype):
    y = np.nan_to_num(x).astype(dtype)
    values = read_tensor(save(x=y)).values
    assert np.array_equal(values, y)
    assert values.dtype.kind == y.dtype.kind


def test_one_of_several_in_groups(save, x):
    path = save(**{"x": x, "deep/er/y": x + 1, "deep/z": x + 2})
    with pytest.raises(DataError, match=r"several arrays \(.*deep/er/y 13 x 9 x 7"):
        read_tensor(path)
    for name, y in (("x", x), ("deep/er/y", x + 1), ("/deep/z", x + 2)):
        assert np.array_equal(read_tensor(path, variable=name).values, y, equal_nan=True)
        tensor = read_tensor(path, variable=name, memory=10**5)
        assert np.array_equal(tensor.values, y, equal_nan=True)
    with pytest.raises(ParameterError, match=r"no variable 'w'; arrays in the file: .*deep/z"):
        read_tensor(path, variable="w")
    with pytest.raises(DataError, match="'deep' is no array of real numbers but a group"):
        read_tensor(path, variable="deep")


def test_what_is_no_tensor(save):
    path = save(c=np.ones((3, 2), complex))
    with pytest.raises(FormatError, match=r"no array of real numbers: .*c \(2-mode complex128\)"):
        read_tensor(path)


def test_an_array_that_does_not_fit_is_read_in_slabs(save, rng):
    x = rng.poisson(2.0, (40, 9, 7)).astype(float)
    path = save(**{"g/x": x[:3], "y": x})
    tensor = read_tensor(path, variable="g/x", memory="40kB")
    assert isinstance(tensor, DenseTensor)
    if path.suffix == ".zarr":  # one chunk, which is too large
        with pytest.raises(DataError, match="smaller chunks"):
            read_tensor(path, variable="y", memory="40kB")
        return
    tensor = read_tensor(path, variable="y", memory="40kB")
    assert isinstance(tensor, PartitionedTensor)
    factors = [rng.random((size, 2)) for size in x.shape]
    value, _ = gcp.build_objective(tensor, "poisson").value_and_grad(factors)
    assert value == pytest.approx(gcp.build_objective(x, "poisson").value_and_grad(factors)[0], rel=1e-12)


def test_a_folder_that_is_one_array(tmp_path, x):
    zarr = pytest.importorskip("zarr")
    stored = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=SHAPE, chunks=(2, 9, 7), dtype=float)
    stored[:] = x
    assert np.array_equal(read_tensor(tmp_path / "a.zarr").values, x, equal_nan=True)
    with pytest.raises(ParameterError, match="one array"):
        read_tensor(tmp_path / "a.zarr", variable="x")


@pytest.mark.parametrize("ending", [".h5", ".hdf5", ".zarr"])
def test_no_such_thing_and_things_of_another_kind(tmp_path, ending):
    pytest.importorskip("zarr" if ending == ".zarr" else "h5py")
    path = tmp_path / f"a{ending}"
    with pytest.raises(DataError, match=r"there is no such (file|folder)"):
        read_tensor(path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match=r"not an HDF5 file|is a file: expected a folder"):
        read_tensor(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"is a folder|not a zarr folder") as told:
        read_tensor(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("name", ["a.h5", "a.zarr"])
def test_they_are_not_written(tmp_path, name):
    with pytest.raises(
        ParameterError, match=r"a\.(h5|zarr): such files are read, but not written; written are \.csv"
    ):
        write_tensor(tmp_path / name, np.ones(3))
    assert not list(tmp_path.iterdir())


def test_the_library_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ParameterError, match=r"h5py: pip install \"gcp-tensor\[arrays\]\""):
        read_tensor(tmp_path / "a.h5")


def test_memory_is_for_some_formats(tmp_path):
    for name in ("a.csv", "a.npz", "a.tns.gz"):
        with pytest.raises(
            ParameterError, match=r"'memory' does not apply .* only to \.npy, \.h5, \.hdf5, \.zarr"
        ):
            read_tensor(tmp_path / name, memory="2GB")
    with pytest.raises(ParameterError, match="memory must be a size"):
        read_tensor(tmp_path / "a.npy", memory="much")


@pytest.mark.parametrize("memory", [None, 10**9])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, world", "first bytes"),
        (b"\x93NUMPY\x01\x00", "damaged or was cut short"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}", "damaged or was cut short"),
    ],
)
def test_damaged_npy_files_are_told_alike(tmp_path, content, words, memory):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as told:
        read_tensor(path, memory=memory)
    assert str(told.value).count(str(path)) == 1


@pytest.mark.parametrize("memory", [None, 10**9])
def test_arrays_of_objects_are_not_read(tmp_path, memory):
    np.save(tmp_path / "a.npy", np.array([{}, 1]), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        read_tensor(tmp_path / "a.npy", memory=memory)


@pytest.mark.parametrize(
    ("array", "words"), [(np.ones((2, 3), complex), "Complex"), (np.ones((2, 0)), "empty")]
)
def test_what_a_fit_cannot_use_is_told_at_once(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    for read in (array_source, lambda path: read_tensor(path, memory=10)):
        with pytest.raises(DataError, match=words):
            read(tmp_path / "a.npy")
