"""Rows of text: PyArrow and the reader of single lines must take and refuse the same."""

import gzip
import sys
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp import SparseTensor, read_tensor, write_tensor
from gcp.base.errors import DataError, FormatError
from gcp.io import files, text_rows


@pytest.fixture(params=["pyarrow", "by line", "not installed"])
def parser(request, monkeypatch):
    monkeypatch.setattr(text_rows, "_SMALL", 1 << 30 if request.param == "by line" else 0)
    if request.param == "not installed":
        monkeypatch.setitem(sys.modules, "pyarrow.csv", None)


@pytest.fixture
def save(tmp_path):
    def write(text, name="a.tns"):
        content = text if isinstance(text, bytes) else text.encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "1 2 5\n3 1 -1.5\n",
        "1\t2\t5\n3 \t 1\t-1.5\t\n",
        "  1 2 5  \r\n3 1 -1.5\r\n",
        "1 2 5\r3 1 -1.5\r",  # as old Macs ended lines
        "# é\n\n1 2 5 # last\n   \n3 1 -15e-1#\n",
        "1.0 2e0 5.\n+3 01 -.15E+1\n",
        "1 2 5\n3 1 -1.5",
        "1\x0b2 5\n3\x1c1 -1.5\n",  # what Python splits at
        "1 2 5.0000000000000000000000000\n3 1 -1.50000000000000000000\n",
    ],
)
def test_ways_to_write_the_same(parser, save, text):
    assert read_tensor(save(text)).values.tolist() == [[0, 5], [0, 0], [-1.5, 0]]
    assert read_tensor(save(text, "a.tns.gz")).values.tolist() == [[0, 5], [0, 0], [-1.5, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 2\n1 2\n", "line 2: expected 2 subscripts and a value, found 2 fields"),
        ("1 1 2\n#\n1 2 3 4\n", "line 3: expected 2 subscripts and a value, found 4 fields"),
        ("1 1 2\n1 2 3 -\n", "line 2: expected 2 subscripts and a value, found 4 fields"),
        ("1 1 2\n-\n", "line 2: expected 2 subscripts and a value, found 1 fields"),
        ("# c\n\n1 1 x\n", "line 3: 'x' is not a number"),
        ("1 1 1_0\n", "line 1: '1_0' is not a number"),
        ("1 1 0x10\n", "line 1: '0x10' is not a number"),
        ("1 1 1e\n", "line 1: '1e' is not a number"),
        ("# gcp-tensor shape: 2 2\r\n0 1 5\r\n", "line 2: subscript 0 of mode 0: expected .* from 1"),
        ("0 1 1\r-1 1 5\r", "line 2: subscript -1 of mode 0: expected whole numbers from 0"),
        ("1 -2 5\n", "line 1: subscript -2 of mode 1"),
        ("1 1.5 5\n", "line 1: subscript 1.5 of mode 1"),
        ("1 15e-1 5\n", "line 1: subscript 15e-1 of mode 1"),
        ("nan 1 5\n", "line 1: subscript nan of mode 0"),
        ("inf 1 5\n", "line 1: subscript inf of mode 0"),
        ("9007199254740993000 1 5\n", "line 1: subscript 9007199254740993000 of mode 0"),
        ("99999999999999999999999 1 5\n", "line 1: subscript 99999999999999999999999 of mode 0"),
        ("1 1 1\n# c\n1 2 nan\n", "line 3: the value is NaN. Leave missing entries out"),
        ("5\n", "line 1: expected subscripts and a value, found one field"),
        ("# nothing\n", "lists no entry"),
        (b"1 1 \xff\n", "UTF-8"),
        ("# gcp-tensor shape: 2 3\n1 3 1\n1 4 1\n", "line 3: subscript 4 of mode 1: expected .* from 1 to 3"),
        ("# gcp-tensor shape: 2 3\n1 3 1 1\n", "line 2: expected 2 subscripts and a value, found 4 fields"),
    ],
)
def test_bad_lines(parser, save, text, message):
    with pytest.raises(FormatError, match=message):
        read_tensor(save(text))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["1", "2", "31", "0", "-1", "1.5", "2e0", "nan", "inf", "x", "-", "4294967297", "1e400"]
        )
        | st.sampled_from(
            ['"1"', "0x1", "+1", "1_0", "1,5", "\u0661", "\0", "true", "NA", "9007199254740993"]
        )
        | st.sampled_from([" ", "\t", "\n", "\r\n", "\r", "#", "\x0c", "é", " 1 1 1\n"]),
        max_size=25,
    )
)
def test_both_ways_agree(parts):
    piece = ("".join(parts) + "\n").encode()
    outcomes = []
    for small in (0, 1 << 30):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_rows, "_SMALL", small)
            try:
                part = text_rows._parsed(piece, text_rows._limits(piece, 1))
                outcomes.append(
                    (part.subs.tolist(), part.values.tolist(), part.largest.tolist(), part.n_lines)
                )
            except text_rows._BadLine as error:
                outcomes.append((str(error), error.line))
            except text_rows.CountsFromZero:
                outcomes.append("from 0")
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("ending", [".tns", ".tns.gz"])
def test_many_pieces(tmp_path, ending, monkeypatch):
    """Lines that lie across pieces, and errors far from the beginning."""
    monkeypatch.setattr(text_rows, "_PIECE", 1000)
    monkeypatch.setattr(text_rows, "_SMALL", 100)
    rng = np.random.default_rng(0)
    subs, values = rng.integers(0, [3000, 2000, 1000], (5000, 3)), rng.normal(size=5000).round(3)
    lines = [
        f"{i + 1} {j + 1} {k + 1} {v}" for (i, j, k), v in zip(subs.tolist(), values.tolist(), strict=True)
    ]
    lines[2500] += " # a remark"
    lines.insert(1000, "# " + "long " * 1000)
    expected = SparseTensor(subs, values, aggregate="sum")

    def save(lines):
        content = "\n".join(lines).encode()
        path = tmp_path / f"a{ending}"
        path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
        return path

    found = read_tensor(save(lines))
    assert isinstance(found, SparseTensor)
    np.testing.assert_array_equal(found.subs, expected.subs)
    np.testing.assert_allclose(found.values, expected.values)
    with pytest.raises(FormatError, match="line 4001: '1x' is not a number"):
        read_tensor(save([*lines[:4000], "1 1 1 1x", *lines[4000:]]))
    again = [*lines, lines[0]]
    with pytest.raises(DataError, match=rf"line 1 and line {len(again)} list the same cell"):
        read_tensor(save(again), aggregate="error")


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n"])
def test_pieces_end_at_any_line_break(tmp_path, line_break, monkeypatch):
    """So that no file is taken as a whole; and never inside of a break, which would count as two."""
    text = line_break.join(f"{k} 1 {k}" for k in range(1, 2000))
    (tmp_path / "a.tns").write_bytes(text.encode())
    for size in range(500, 540):
        monkeypatch.setattr(text_rows, "_PIECE", size)
        with open(tmp_path / "a.tns", "rb") as file:
            pieces = list(text_rows._pieces(file, 0))
        assert b"".join(pieces) == text.encode() + b"\n"
        assert max(map(len, pieces)) < 2 * size
        assert sum(len(piece.splitlines()) for piece in pieces) == 1999
    (tmp_path / "a.tns").write_bytes((text + line_break + "1 x 1").encode())
    with pytest.raises(FormatError, match="line 2000: 'x' is not a number"):
        read_tensor(tmp_path / "a.tns")


def test_subscripts_beyond_32_bits(parser, save):
    tensor = read_tensor(save("1 1 1\n4294967297 9007199254740992 2\n2 2 3\n"))
    assert tensor.shape == (2**32 + 1, 2**53)
    assert tensor.subs.dtype == np.uint64
    assert sorted(map(tuple, tensor.subs.tolist())) == [(0, 0), (1, 1), (2**32, 2**53 - 1)]
    narrow = read_tensor(save("4294967296 4294967296 2\n"))
    assert narrow.subs.tolist() == [[2**32 - 1, 2**32 - 1]]
    assert narrow.subs.dtype == np.uint32


def test_values_are_exact(parser, save, rng):
    values = np.concatenate(
        [rng.normal(size=300), rng.normal(size=300) * 10.0 ** rng.integers(-300, 300, 300)]
    )
    values = np.concatenate([values, rng.integers(-(2**62), 2**62, 100)])
    text = "".join(f"{k + 1} {v!r}\n" for k, v in enumerate(values.tolist()))
    np.testing.assert_array_equal(read_tensor(save(text)).values, values)


class TestGzip:
    TEXT = b"".join(b"%d %d %d\n" % (k % 7 + 1, k + 1, k % 3 + 1) for k in range(20_000))

    def read(self, tmp_path, content):
        path = tmp_path / "a.tns.gz"
        path.write_bytes(content)
        return read_tensor(path)

    def test_members_and_padding(self, tmp_path):
        """Files made by several runs of gzip, or filled up with zeros, hold all parts."""
        whole = self.read(tmp_path, gzip.compress(self.TEXT))
        cuts = [0, 1, 5000, 5001, len(self.TEXT)]
        members = [gzip.compress(self.TEXT[a:b]) for a, b in pairwise(cuts)]
        parts = self.read(tmp_path, b"".join(members) + bytes(500))
        np.testing.assert_array_equal(whole.values, parts.values)

    @pytest.mark.parametrize("size", [1, 100, 1 << 20])
    @pytest.mark.parametrize("packed", [10, 1 << 18])
    def test_contents_in_runs_of_any_size(self, tmp_path, size, packed, monkeypatch):
        monkeypatch.setattr(files, "_PACKED", packed)
        text = self.TEXT[:3000] + b"1 1 1\n" * 5000  # the end unpacks to much more than is read at a time
        (tmp_path / "a.gz").write_bytes(gzip.compress(text))
        with files.opened(tmp_path / "a.gz", True) as file:
            assert b"".join(files.contents(file, size)) == text

    def test_damage(self, tmp_path):
        content = gzip.compress(self.TEXT)
        for kept in (15, len(content) // 2, len(content) - 9, len(content) - 3):
            with pytest.raises(FormatError, match="damaged or was cut short"):
                self.read(tmp_path, content[:kept])
        wrong_sum = bytearray(content)
        wrong_sum[-6] ^= 1
        with pytest.raises(FormatError, match="damaged or was cut short"):
            self.read(tmp_path, bytes(wrong_sum))
        with pytest.raises(FormatError, match="damaged or was cut short"):
            self.read(tmp_path, content + b"more")
        assert zlib.decompress(content, 31) == self.TEXT


@pytest.mark.parametrize("ending", [".tns", ".tns.gz"])
def test_written_rows_are_read_back(tmp_path, ending, rng):
    subs, values = rng.integers(0, 2**33, (500, 3)), rng.normal(size=500)
    tensor = SparseTensor(subs, values, (2**33, 2**40, 2**33 + 5))
    write_tensor(tmp_path / f"a{ending}", tensor)
    back = read_tensor(tmp_path / f"a{ending}")
    assert back.shape == tensor.shape
    np.testing.assert_array_equal(back.subs, tensor.subs)
    np.testing.assert_array_equal(back.values, tensor.values)
