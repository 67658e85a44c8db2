"""Listings of other programs: subscripts from 0, headers of sizes, Tensor Toolbox text called .tns."""

import numpy as np
import pytest

import gcp
from gcp import DataError
from gcp.io import text_rows
from gcp.io.convert import convert

ENTRIES = {(0, 0, 0): 1.0, (1, 2, 3): 2.5, (1, 0, 3): -1.0}


def rows(base):
    return "".join(" ".join(str(i + base) for i in cell) + f" {x}\n" for cell, x in ENTRIES.items())


TEXTS = {
    "from 1": (rows(1), None),
    "from 0": (rows(0), None),
    "from 0, late": ("1 1 1 7\n" * 3 + rows(0), None),
    "from 0, remarks": ("\ufeff# by me\n\n" + rows(0).replace("\n", " # x\r\n"), None),
    "our header": ("# gcp-tensor shape: 3 4 5\n" + rows(1), (3, 4, 5)),
    "extended": ("# extended FROSTT format\n3 3\n3 4 5\n" + rows(1), (3, 4, 5)),
    "extended with remarks": ("; extended FROSTT format\n# nnz next\n3 3\n\n3 4 5\n" + rows(1), (3, 4, 5)),
    "sptensor": ("sptensor\n3\n3 4 5\n3\n" + rows(1), (3, 4, 5)),
    "sptensor with a mark": ("\ufeffsptensor\n3\n3 4 5\n3\n" + rows(1), (3, 4, 5)),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_listings_are_read_and_converted_alike(tmp_path, kind):
    text, shape = TEXTS[kind]
    path = tmp_path / "a.tns"
    path.write_bytes(text.encode())
    truth = np.zeros(shape or (2, 3, 4))
    for cell, x in ENTRIES.items():
        truth[cell] = x
    if kind == "from 0, late":
        truth[1, 1, 1] = 21
    np.testing.assert_array_equal(gcp.read_tensor(path).values, truth)
    convert(path, tmp_path / "a.npz", memory=10**8)
    np.testing.assert_array_equal(gcp.read_tensor(tmp_path / "a.npz").to_dense().values, truth)


def test_lines_are_named_where_subscripts_count_from_0(tmp_path):
    path = tmp_path / "a.tns"
    path.write_text("1 1 1\n0 1 2\n\n1 1 1\n")
    for read in (gcp.read_tensor, lambda path, **how: convert(path, tmp_path / "a.npz", memory=10**8, **how)):
        with pytest.raises(DataError, match=r"line 1 and line 4 list the same cell \(1, 1\)"):
            read(path, aggregate="error")


def test_all_cells_called_tns(tmp_path):
    path = tmp_path / "a.tns"
    path.write_text("tensor\n2\n2 3\n1\n2\n3\n4\n5\n6\n")
    assert gcp.read_tensor(path).values.tolist() == [[1, 3, 5], [2, 4, 6]]
    with pytest.raises(DataError, match="expected a listing"):
        convert(path, tmp_path / "a.npz", memory=10**8)


def test_a_file_of_many_pieces_that_counts_from_0(tmp_path, rng, monkeypatch):
    """The 0 stands behind what PyArrow reads at a time."""
    monkeypatch.setattr(text_rows, "_PIECE", 1000)
    monkeypatch.setattr(text_rows, "_SMALL", 100)
    subs = rng.integers(1, 50, (2000, 2))
    subs[-1] = 0, 3
    path = tmp_path / "a.tns"
    path.write_text("".join(f"{i} {j} 1\n" for i, j in subs.tolist()))
    truth = np.zeros((50, 50))
    np.add.at(truth, tuple(subs.T), 1)
    np.testing.assert_array_equal(gcp.read_tensor(path).values, truth)
    convert(path, tmp_path / "a.npz", memory=10**8)
    np.testing.assert_array_equal(gcp.read_tensor(tmp_path / "a.npz").to_dense().values, truth)
