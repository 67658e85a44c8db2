"""HDF5 files that name other files, and damaged ones: nothing is read but HDF5 files of the folder."""

import contextlib
import os

import numpy as np
import pytest

from gcp import DataError, GcpError, ParameterError, read_tensor

h5py = pytest.importorskip("h5py")
X = np.arange(24.0).reshape(2, 3, 4)


@pytest.fixture
def folders(tmp_path):
    """A file of a folder, and a secret beside the folder."""
    (tmp_path / "own" / "below").mkdir(parents=True)
    for place in ("secret.h5", "own/other.h5", "own/below/other.h5"):
        with h5py.File(tmp_path / place, "w") as file:
            file["g/x"] = X
    (tmp_path / "secret.txt").write_bytes(b"s" * 8 * X.size)
    return tmp_path / "own"


def virtual(file, name, source, dataset="g/x"):
    layout = h5py.VirtualLayout(X.shape, X.dtype)
    layout[...] = h5py.VirtualSource(source, dataset, X.shape)
    file.create_virtual_dataset(name, layout)


def link(file, name, source, dataset="/g/x"):
    file[name] = h5py.ExternalLink(source, dataset)


def storage(file, name, source, dataset=None):
    file.create_dataset(name, X.shape, X.dtype, external=[(str(source), 0, h5py.h5f.UNLIMITED)])


MAKERS = {"virtual": virtual, "link": link}
OUTSIDE = ["../secret.h5", "{}/../secret.h5", "below/../../secret.h5", "linked.h5", "folder/secret.h5"]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("source", OUTSIDE)
@pytest.mark.parametrize("memory", [None, 10**6])
def test_what_lies_outside_the_folder_is_not_read(folders, kind, source, memory):
    (folders / "linked.h5").symlink_to(folders.parent / "secret.h5")
    (folders / "folder").symlink_to(folders.parent)
    with h5py.File(folders / "a.h5", "w") as file:
        MAKERS[kind](file, "x", source.format(folders))
    with pytest.raises(DataError, match=r"a\.h5: .*outside the folder of the file"):
        read_tensor(folders / "a.h5", variable="x", memory=memory)


@pytest.mark.parametrize("source", ["../secret.txt", "{}/../secret.txt", "/etc/passwd"])
def test_no_file_is_read_as_storage(folders, source):
    with h5py.File(folders / "a.h5", "w") as file:
        storage(file, "x", source.format(folders))
    for variable in (None, "x"):
        with pytest.raises(DataError, match=r"in another file, .*not read for safety"):
            read_tensor(folders / "a.h5", variable=variable)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("inner", [virtual, link, storage])
def test_nor_by_way_of_another_file_of_the_folder(folders, kind, inner):
    with h5py.File(folders / "b.h5", "w") as file:
        inner(file, "y", "../secret.txt" if inner is storage else "../secret.h5")
    with h5py.File(folders / "a.h5", "w") as file:
        MAKERS[kind](file, "x", "b.h5", "/y")
        file["soft"] = h5py.SoftLink("/x")
    for name in ("x", "soft"):
        with pytest.raises(DataError, match=r"outside the folder|not read for safety"):
            read_tensor(folders / "a.h5", variable=name)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("source", ["other.h5", "{}/other.h5", "below/other.h5", "./below/../other.h5"])
@pytest.mark.parametrize("memory", [None, 10**6])
def test_what_lies_in_the_folder_is_read(folders, kind, source, memory, monkeypatch):
    with h5py.File(folders / "a.h5", "w") as file:
        MAKERS[kind](file, "x", source.format(folders))
        file["deep/soft"] = h5py.SoftLink("/x")
        file["deep/softer"] = h5py.SoftLink("soft")
    monkeypatch.chdir(folders.parent)
    for name in ("x", "deep/soft", "/deep/softer"):
        assert np.array_equal(read_tensor("own/a.h5", variable=name, memory=memory).values, X)


def test_virtual_sets_of_the_file_itself(folders):
    with h5py.File(folders / "a.h5", "w") as file:
        file["x"] = X
        virtual(file, "v", ".", "x")
    assert np.array_equal(read_tensor(folders / "a.h5", variable="v").values, X)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_that_is_gone_is_no_zeros(folders, kind):
    with h5py.File(folders / "a.h5", "w") as file:
        MAKERS[kind](file, "x", "gone.h5")
    with pytest.raises(DataError, match=r"there is no HDF5 file 'gone\.h5'"):
        read_tensor(folders / "a.h5", variable="x")


def test_links_that_lead_nowhere(folders):
    with h5py.File(folders / "a.h5", "w") as file:
        file["nowhere"] = h5py.SoftLink("/none")
        file["x"], file["y"] = h5py.SoftLink("/y"), h5py.SoftLink("/x")
        file["round"] = h5py.ExternalLink("a.h5", "/round")
        file["data"] = X
        file["through"] = h5py.SoftLink("/data/more")
    for name, message in (
        ("nowhere", r"no variable 'nowhere'"),
        ("x", "circle"),
        ("round", "circle"),
        ("through", "no variable"),
    ):
        with pytest.raises((DataError, ParameterError), match=message):
            read_tensor(folders / "a.h5", variable=name)
    assert read_tensor(folders / "a.h5").shape == X.shape


@pytest.mark.parametrize("options", [{}, {"chunks": (1, 3, 4), "compression": "gzip"}])
@pytest.mark.parametrize("variable", [None, "g/x"])
def test_damaged_files_give_errors_of_gcp(tmp_path, options, variable):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("g/x", data=X, **options)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    used = np.flatnonzero(np.frombuffer(whole, np.uint8))  # most of the file is not
    for at in rng.choice(used, 150):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with contextlib.suppress(GcpError):
            assert read_tensor(path, variable=variable).values.size > 0


def test_files_that_may_not_be_read(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = X
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("a user who may read everything")
    with pytest.raises(DataError, match="Permission denied"):
        read_tensor(path)
