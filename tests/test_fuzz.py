"""Damaged and hostile files: a result or one of gcp's own errors, quickly, in little memory, and nothing is run."""

import io
import pickle
import struct
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers import bounded_memory
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from gcp import (
    DataError,
    DenseTensor,
    FitResult,
    GcpError,
    ModeLabels,
    SparseTensor,
    fit_gcp,
    read_tensor,
    write_tensor,
)

"""Bytes of address space that reading a small file may take beyond what there was."""


def tensors():
    labels = ModeLabels(["a", "b", "c"], [np.array(["x", "y", "z"]), None, None])
    dense = DenseTensor(np.arange(24.0).reshape(3, 4, 2), labels=labels)
    listed = SparseTensor([[0, 1, 1], [2, 3, 0]], [1.0, 2.0], (3, 4, 2), labels=labels)
    return dense, listed


@cache
def contents():
    """A small valid file of every kind, by suffix."""
    import tempfile

    dense, listed = tensors()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".npy", ".npz", ".tns", ".tns.gz", ".csv", ".csv.gz", ".parquet", ".mat", ".ttb"):
            path = Path(folder, f"dense{suffix}")
            plain = suffix in (".npy", ".tns", ".tns.gz", ".mat", ".ttb")
            write_tensor(path, DenseTensor(dense.values) if plain else dense)
            found[suffix] = path.read_bytes()
        path = Path(folder, "listed.npz")
        write_tensor(path, listed)
        found["listed.npz"] = path.read_bytes()
        checkpoint = Path(folder, "state.npz")
        result = fit_gcp(dense, 1, random_state=0, n_iter_max=5, checkpoint=checkpoint)
        found["checkpoint"] = checkpoint.read_bytes()
        result.save(Path(folder, "result.npz"))
        found["result"] = Path(folder, "result.npz").read_bytes()
    return found


def read(kind, content, folder):
    """What a user's call does with such a file."""
    path = folder / ("f.npz" if kind in ("checkpoint", "result", "listed.npz") else f"f{kind}")
    path.write_bytes(content)
    if kind == "result":
        return FitResult.load(path)
    if kind == "checkpoint":
        return fit_gcp(tensors()[0], 1, random_state=0, n_iter_max=5, checkpoint=path)
    options = {"unlisted": "zero"} if kind in (".csv", ".csv.gz", ".parquet") else {}
    return read_tensor(path, **options)


def survives(kind, content, folder):
    """Anything but a result or an error of gcp that names the file ends the test."""
    told = str(folder / "f")
    with bounded_memory():
        try:
            read(kind, content, folder)
        except GcpError as error:
            told = str(error)
    assert str(folder / "f") in told


KINDS = [
    ".npy",
    ".npz",
    "listed.npz",
    ".tns",
    ".tns.gz",
    ".csv",
    ".csv.gz",
    ".mat",
    ".ttb",
    ".parquet",
    "result",
    "checkpoint",
]
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
FUZZ = settings(
    max_examples=40,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_changed_bytes(kind, tmp_path, data):
    content = bytearray(contents()[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    survives(kind, bytes(content), tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_cut_short_or_spliced(kind, tmp_path, data):
    content = contents()[kind]
    first, last = sorted(data.draw(st.integers(0, len(content))) for _ in range(2))
    survives(kind, content[:first] + data.draw(st.binary(max_size=20)) + content[last:], tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(content=st.binary(max_size=300))
def test_any_bytes(kind, tmp_path, content):
    survives(kind, content, tmp_path)


@pytest.mark.parametrize("kind", [".tns", ".csv", ".ttb"])
@FUZZ
@given(content=st.text(alphabet="0123456789 .,-+eEnaif\n\t#%sptensor", max_size=200))
@example(content="1 1 1 1\n99999999999999999999 1 1 1\n")
@example(content="9223372036854775807 9223372036854775807 1\n")
@example(content="tensor\n3\n99999 99999 99999\n1\n")
@example(content="sptensor\n3\n99999999 99999999 99999999\n1\n1 1 1 1\n")
def test_any_text(kind, tmp_path, content):
    survives(kind, content.encode(), tmp_path)


def npy(shape, dtype="<f8", body=b""):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6, 10**6), (2**62, 4), (-3,), (0, 5), (10**30,)])
def test_headers_that_promise_too_much(shape, tmp_path):
    for kind in (".npy", ".npz", "result"):
        content = npy(shape, body=b"\0" * 64)
        if kind != ".npy":
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                for name in ("values", "weights", "meta", "format", "version"):
                    archive.writestr(f"{name}.npy", content)
            content = buffer.getvalue()
        with bounded_memory(), pytest.raises(GcpError):
            read(kind, content, tmp_path)


def test_mat_that_unpacks_to_more_than_memory_holds(tmp_path):
    path = tmp_path / "f.mat"
    savemat(path, {"X": np.zeros((300, 1000, 100))}, do_compression=True)  # 240 MB
    with (
        bounded_memory(1 << 27),
        pytest.raises(DataError, match=r"f\.mat: the tensor does not fit into memory"),
    ):
        read_tensor(path)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was run')",))


@pytest.mark.parametrize("kind", [".npy", ".npz", "result", "checkpoint"])
def test_pickles_are_not_run(kind, tmp_path):
    body = pickle.dumps(np.array([Bomb()], dtype=object))
    content = npy((1,), "|O", body)
    if kind != ".npy":
        buffer = io.BytesIO()
        there = zipfile.ZipFile(io.BytesIO(contents()["result" if kind == "result" else "checkpoint"]))
        with there, zipfile.ZipFile(buffer, "w") as archive:
            for name in there.namelist():
                is_hostile = name in ("weights.npy", "array_0.npy")
                archive.writestr(name, content if is_hostile else there.read(name))
            archive.writestr("values.npy", content)
        content = buffer.getvalue()
    with pytest.raises(GcpError):
        read(kind, content, tmp_path)


def zeros(shape, dtype="<f8"):
    """The .npy form of an array of zeros, in pieces."""
    yield npy(shape, dtype)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    for first in range(0, size, 2**20):
        yield bytes(min(2**20, size - first))


def bomb(path, big, base=None):
    """An archive with members of many zeros, and those of another archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, pieces in big.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                for piece in pieces:
                    entry.write(piece)
        if base is not None:
            with zipfile.ZipFile(io.BytesIO(base)) as there:
                for name in there.namelist():
                    if name.removesuffix(".npy") not in big:
                        archive.writestr(name, there.read(name))


BIG = 2**22
BOMBS = {
    "many arrays": ({f"a{k}": (BIG,) for k in range(3)}, None, "several arrays"),
    "no result": ({f"a{k}": (BIG,) for k in range(3)}, None, None),
    "marked by an array": ({"format": (BIG,), "values": (2,)}, None, None),
    "a large mask": ({"mask": (BIG,)}, ".npz", "'mask' has shape"),
    "many names": ({"mode_names": (BIG,)}, ".npz", "'mode_names' has shape"),
    "many labels": ({"coords_1": (BIG,)}, ".npz", "'coords_1' has shape"),
    "long labels": ({"coords_1": ((4,), "<U4194304")}, ".npz", "'coords_1' holds texts of 16.8 MB"),
    "a large version": ({"version": (BIG,)}, ".npz", "'version' should be a whole number"),
    "large subscripts": ({"subs": (BIG // 8, 8)}, "listed.npz", "'subs' has shape"),
    "a large shape": ({"shape": (BIG,)}, "listed.npz", "'shape' has shape"),
    "not ours": ({"zeros": (BIG,), "coords_9": (BIG,)}, "listed.npz", None),
    "a large factor": ({"factor_1": (BIG // 8, 7)}, "result", "'factor_1' is float64 of shape"),
    "a large effect": ({"effect_1": (BIG,)}, "result", "'effect_1' is float64 of shape"),
    "labels of a result": ({"coords_1": (BIG,)}, "result", "'coords_1' has shape"),
    "a large description": ({"meta": (BIG,)}, "result", "'meta' has shape"),
    "a large trace": ({"trace_seconds": (4 * BIG,)}, "result", "'trace_seconds' has shape"),
    "nothing of a result": ({"zeros": (BIG,)}, "result", None),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_no_more_is_unpacked_than_used(kind, tmp_path):
    """Archives of some 100 kB whose members take 32 MB and more."""
    import tracemalloc

    big, base, message = BOMBS[kind]
    path = tmp_path / "f.npz"
    shapes = {name: one if isinstance(one[0], tuple) else (one, "<f8") for name, one in big.items()}
    bomb(
        path, {name: zeros(*one) for name, one in shapes.items()}, None if base is None else contents()[base]
    )
    assert path.stat().st_size < 2**21
    read_it = FitResult.load if base == "result" or kind == "no result" else read_tensor
    told = None
    tracemalloc.start()
    try:
        read_it(path)
    except GcpError as error:
        told = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23
    assert (told is None) == (kind in ("not ours", "nothing of a result"))
    assert message is None or message in told
