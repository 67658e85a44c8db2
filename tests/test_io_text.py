"""Text files that promise, hold or lack what no tensor has: errors of gcp, at once, that say what is wrong."""

import gzip
import time

import numpy as np
import pytest

from gcp import DataError, ParameterError, read_tensor
from gcp.cli import main
from gcp.io.convert import convert

COLUMNS = ",".join(f"c{k}" for k in range(100))

FOREIGN = {
    "a size of 40 digits.tns": (
        f"# gcp-tensor shape: 1{0:040d} 5\n1 1 2.0\n",
        "at most 9,007,199,254,740,992",
    ),
    "a size of 5000 digits.tns": (
        f"# gcp-tensor shape: {'9' * 5000} 5\n1 1 1\n",
        "at most 9,007,199,254,740,992",
    ),
    "a size of 0.tns": ("# gcp-tensor shape: 0 5\n1 1 1\n", "at least 1: found 0"),
    "1000 modes.tns": (" ".join(["1"] * 1001) + "\n", "1,001 fields, but a tensor has at most 64 modes"),
    "70 modes by shape.tns": (f"# gcp-tensor shape: {'1 ' * 69}1\n", "70 modes, but a tensor has at most 64"),
    "a size of 64 bits.ttb": (
        "sptensor\n2\n9223372036854775808 2\n1\n1 1 1\n",
        "at most 9,007,199,254,740,992",
    ),
    "digits without end.ttb": (f"sptensor\n2\n{'9' * 5000} 2\n1\n1 1 1\n", "line 3: expected 2 whole number"),
    "70 modes.ttb": (f"tensor\n70\n{'1 ' * 70}\n1\n", "70 modes, but a tensor has at most 64"),
    "70 modes, listed.ttb": (f"sptensor\n70\n{'1 ' * 70}\n1\n{'1 ' * 71}\n", "70 modes"),
    "99 modes.csv": (f"{COLUMNS}\n{','.join('1' * 100)}\n", "99 columns beside the values"),
    "beyond 2 to the 53.tns": (f"1 1 1\n{2**53 + 1} 1 1\n", f"subscript {2**53 + 1} of mode 0.*{2**53:,}"),
    "cells of toolbox text.tns": ("tensor\n1\n2\n1\n", "promises 2 values: found 1|expected a listing"),
    "extended of other sizes.tns": (
        "# extended FROSTT format\n3 2\n5 6\n1 1 1 1.0\n",
        "line 3: .*extended FROSTT",
    ),
    "extended from 0.tns": ("# extended FROSTT format\n2 1\n5 6\n0 1 1.0\n", "subscript 0 .*count from 1"),
    "extended, cut short.tns": (
        "# extended FROSTT format\n2 3\n5 6\n1 1 1.0\n",
        "promises 3 rows: found 1, less",
    ),
    "more rows.ttb": ("sptensor\n2\n5 4\n1\n1 1 1.0\n1 3 2.0\n", "promises 1 rows: found 2, more"),
    "fewer rows.ttb": ("sptensor\n2\n5 4\n3\n1 1 1.0\n1 3 2.0\n", "found 2, less: the file may be cut short"),
    "more values.ttb": ("tensor\n1\n1\n1 2\n", "promises 1 values: found 2, more"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_tensor_has_is_refused(tmp_path, capsys, name):
    text, message = FOREIGN[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message) as told:
        read_tensor(path)
    assert str(told.value).startswith(str(path))
    assert len(str(told.value)) < 600
    assert main(["info", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    if path.suffix == ".tns":
        with pytest.raises((DataError, ParameterError), match=message):
            convert(path, tmp_path / "out.npz", memory=10**8)


def test_subscripts_up_to_2_to_the_53_stay_apart(tmp_path):
    path = tmp_path / "a.tns"
    path.write_text(f"{2**53} 1\n{2**53 - 1} 2\n")
    assert read_tensor(path).subs.ravel().tolist() == [2**53 - 2, 2**53 - 1]


def test_a_byte_order_mark_is_no_number(tmp_path):
    for name, text in (
        ("a.tns", "1 1 1 1.0\n2 3 4 2.5\n"),
        ("b.tns", "# gcp-tensor shape: 2 3 4\n1 1 1 1.0\n2 3 4 2.5\n"),
        ("c.csv", "a,b,c,value\n1,1,1,1.0\n2,3,4,2.5\n"),
    ):
        path = tmp_path / name
        path.write_text("\ufeff" + text, encoding="utf-8")
        tensor = read_tensor(path, unlisted="zero")
        assert tensor.values.sum() == 3.5
        assert tensor.shape == ((2, 3, 4) if name != "c.csv" else (2, 2, 2))


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r", b"#\n", b"  \t\n"])
@pytest.mark.parametrize("rows", [b"", b"1 1 2.5\n3 2 1.5\n"])
def test_lines_without_a_row_cost_little(tmp_path, line, rows):
    """2 MB, hundredths of a second; one by one they took 2.5 s and more."""
    path = tmp_path / "a.tns.gz"
    path.write_bytes(gzip.compress(b"1 1 2.5\n"))
    read_tensor(path)  # compiles, and imports what it needs
    blank = line * (2**21 // len(line))
    path.write_bytes(gzip.compress(blank + rows + line * 1000, compresslevel=1))
    begin = time.process_time()
    if rows:
        assert read_tensor(path).values.tolist() == [[2.5, 0], [0, 0], [0, 1.5]]
    else:
        with pytest.raises(DataError, match="lists no entry"):
            read_tensor(path)
    assert time.process_time() - begin < 1.25


def test_a_line_is_named_behind_many_without_a_row(tmp_path):
    path = tmp_path / "a.tns"
    path.write_bytes(b"\n" * 3_000_000 + b"1 1 2\n\r\n1 1 3\n")
    with pytest.raises(DataError, match="line 3000001 and line 3000003 list the same cell"):
        read_tensor(path, aggregate="error")
    path.write_bytes(b"\n" * 3_000_000 + b"1 1 2\n\r\n1 x 3\n")
    with pytest.raises(DataError, match="line 3000003: 'x' is not a number"):
        read_tensor(path)


def test_a_table_of_line_breaks(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"\n" * 2**24, compresslevel=1))
    begin = time.process_time()
    with pytest.raises(DataError, match="no rows"):
        read_tensor(path)
    assert time.process_time() - begin < 2
    path.write_bytes(gzip.compress(b"\n" * 2**24 + b"a,value\nx,1\ny,z\n", compresslevel=1))
    with pytest.raises(DataError, match=f"found 'z' in line {2**24 + 3}"):
        read_tensor(path)
    assert time.process_time() - begin < 6


def test_values_are_as_before(tmp_path):
    path = tmp_path / "a.tns"
    path.write_text("\n# c\n 1 1 0.5 # d\r\n\r\n2 2 1e3")
    np.testing.assert_array_equal(read_tensor(path).values, [[0.5, 0], [0, 1000]])


def test_subscripts_that_are_identifiers_are_refused_before_memory_is_asked_for(tmp_path, capsys):
    path = tmp_path / "a.tns"
    path.write_text(f"1 1 2\n{2**50} {2**50} 3\n")
    assert main(["fit", str(path), "--rank", "2", "--quiet"]) == 2
    assert "would take 1.8e+04 TB" in capsys.readouterr().err
