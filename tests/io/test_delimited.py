"""Tables as text as other programs write them: separators, decimals, encodings; the truth is what was written."""

import gzip
import io
from functools import partial

import numpy as np
import pandas as pd
import pytest

import gcp
from gcp import DataError, ParameterError
from gcp.cli import main

ROWS = [("Åse", "x", 1.5), ("b", "y", 2.25), ("Åse", "y", -3.0)]
LABELS = gcp.ModeLabels(["user", "item"], [["b", "Åse"], ["x", "y"]])
VALUES = [[np.nan, 2.25], [1.5, -3.0]]


def write(path, separator=",", decimal=".", encoding="utf-8"):
    table = pd.DataFrame(ROWS, columns=["user", "item", "value"])
    lines = [separator.join(table.columns)]
    lines += [separator.join([u, i, str(v).replace(".", decimal)]) for u, i, v in ROWS]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "written", "options"),
    [
        ("a.csv", {}, {}),
        ("a.tsv", {"separator": "\t"}, {}),
        ("a.csv", {"separator": ";", "decimal": ","}, {"separator": ";", "decimal": ","}),
        ("a.tsv", {"separator": "\t", "decimal": ","}, {"decimal": ","}),
        ("a.csv", {"encoding": "latin-1"}, {"encoding": "latin-1"}),
        ("a.csv", {"encoding": "utf-16"}, {}),
        ("a.csv", {"encoding": "utf-16-le"}, {"encoding": "utf-16-le"}),
        ("a.csv", {"separator": "::", "encoding": "cp1252"}, {"separator": "::", "encoding": "cp1252"}),
        ("a.dat", {"separator": "::"}, {}),
        ("a.dat", {"separator": "\t"}, {}),
        ("a.data", {"separator": ";"}, {}),
        ("a.dat", {"separator": "::"}, {"separator": "::"}),
        ("a.csv", {"separator": "~~|"}, {"separator": "~~|"}),
        ("a.log", {"separator": "|"}, {"separator": "|", "format": "csv"}),
    ],
)
def test_ways_to_write_a_table(tmp_path, name, written, options):
    tensor = gcp.read_tensor(write(tmp_path / name, **written), unlisted="missing", **options)
    assert tensor.labels == LABELS
    np.testing.assert_array_equal(tensor.to_dense().values, VALUES)


@pytest.mark.parametrize("separator", [",", ";", ":", "-", "x", "::", " ", "TAB"])
def test_leading_zeros_beside_any_separator(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text("a,b,value\n1,007,1\n1,7,2\n".replace(",", separator.replace("TAB", "\t")))
    tensor = gcp.read_tensor(path, separator=separator, unlisted="zero")
    assert tensor.labels == gcp.ModeLabels(["a", "b"], [[1], ["007", "7"]])
    assert tensor.values.tolist() == [[1, 2]]


@pytest.mark.parametrize("names", [["1.1", "1.10"], ["2020-01", "2020-01-01"], ["1e3", "1000"]])
def test_wide_columns_that_are_one_as_numbers(tmp_path, names):
    path = tmp_path / "a.csv"
    path.write_text(f"who,{','.join(names)}\na,1,2\nb,3,4\n")
    tensor = gcp.read_tensor(path, wide="version")
    assert tensor.labels == gcp.ModeLabels(["who", "version"], [["a", "b"], names])
    assert tensor.values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("ending", [".csv", ".feather", ".parquet"])
def test_bytes_in_another_order(tmp_path, ending):
    gcp.write_tensor(tmp_path / f"a{ending}", gcp.DenseTensor(np.array([[1, 2], [3, 258]], ">i4")))
    assert gcp.read_tensor(tmp_path / f"a{ending}").values.tolist() == [[1, 2], [3, 258]]


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".feather", ".arrow"])
def test_what_is_written_comes_back(tmp_path, ending):
    labels = gcp.ModeLabels(["who", "when"], [["a", "b"], [2001, 2002]])
    gcp.write_tensor(tmp_path / f"a{ending}", gcp.DenseTensor([[1.5, np.nan], [2, 3]], labels=labels))
    found = gcp.read_tensor(tmp_path / f"a{ending}", unlisted="missing")
    assert found.labels == labels
    np.testing.assert_array_equal(found.values, [[1.5, np.nan], [2, 3]])


MOVIELENS = {
    "u.data": "196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t242\t1\t878887116\n",
    "ratings.dat": "196::242::3::881250949\n186::302::3::891717742\n22::242::1::878887116\n",
}


@pytest.mark.parametrize("name", MOVIELENS)
def test_movielens(tmp_path, capsys, name):
    path = tmp_path / name
    path.write_text(MOVIELENS[name])
    with pytest.raises(DataError, match=r"say header=False"):
        gcp.read_tensor(path, unlisted="missing")
    tensor = gcp.read_tensor(path, header=False, modes=[0, 1], value=2, unlisted="missing")
    assert tensor.labels == gcp.ModeLabels(["0", "1"], [[22, 186, 196], [242, 302]])
    assert tensor.entry_weights.tolist() == [[True, False], [False, True], [True, False]]
    assert tensor.values[tensor.entry_weights].tolist() == [1, 3, 3]
    command = ["info", str(path), "--no-header", "--modes", "0,1", "--value", "2", "--unlisted", "missing"]
    for more in ([], ["--separator", "TAB" if name == "u.data" else "::"]):
        assert main([*command, *more]) == 0
        assert "3 x 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "1;2,5;3\n2;3,5;4\n",  # a decimal comma, or a separator
        "2 1,5\n3 1,7\n",
        "a b\tc 1\nd e\tf 2\n",
        "a,b,1\nc,d,e,2\n",
        "abc\ndef\n",
        "1  2  3\n4  5  6\n",
    ],
)
def test_a_separator_in_doubt_is_asked_for(tmp_path, text):
    path = tmp_path / "a.dat"
    path.write_text(text)
    with pytest.raises(DataError, match="say what separates the columns"):
        gcp.read_tensor(path, header=False, unlisted="missing")


def test_points_are_not_taken_for_commas(tmp_path):
    """They stand between thousands where commas stand before decimals."""
    path = tmp_path / "a.csv"
    path.write_text("a;value\nx;1.500\ny;2,5\n")
    with pytest.raises(DataError, match=r"'1\.500' in line 2.*leave out decimal"):
        gcp.read_tensor(path, separator=";", decimal=",")
    path.write_text("a;b;c\nx;1,5;2\ny;NA;1.5\n")
    with pytest.raises(DataError, match=r"'1\.5' in line 3"):
        gcp.read_tensor(path, separator=";", decimal=",", wide="when", modes=["a"])
    path.write_text("a;b;c\nx;1,5;2\ny;NA;-,5e1\n")
    tensor = gcp.read_tensor(path, separator=";", decimal=",", wide="when", modes=["a"])
    np.testing.assert_array_equal(tensor.values, [[1.5, 2], [np.nan, -5]])
    with pytest.raises(ParameterError, match="decimal and separator are both ','"):
        gcp.read_tensor(path, decimal=",")
    with pytest.raises(ParameterError, match="decimal must be one of"):
        gcp.read_tensor(path, decimal=":")


def test_other_encodings_are_asked_for(tmp_path, capsys):
    path = write(tmp_path / "a.csv", encoding="latin-1")
    with pytest.raises(DataError, match=r"expected UTF-8 text: .*encoding=\"latin-1\""):
        gcp.read_tensor(path, unlisted="missing")
    path.write_bytes("straße,b,value\nx,y,1\n".encode("latin-1"))  # in the header alone
    with pytest.raises(DataError, match="expected UTF-8 text"):
        gcp.read_tensor(path)
    assert gcp.read_tensor(path, encoding="latin-1").labels.names == ("straße", "b")
    with pytest.raises(DataError, match="line 1: bytes that are none of the encoding ascii"):
        gcp.read_tensor(path, encoding="ascii")
    for encoding in ("nonsense", "zlib"):
        with pytest.raises(ParameterError, match="encoding must be the name of one"):
            gcp.read_tensor(path, encoding=encoding)
    assert main(["info", str(path), "--encoding", "latin-1"]) == 0
    assert "straße" in capsys.readouterr().out


def test_quotation_marks_beside_a_long_separator_are_text(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text('"a::b::1\nc"::d::2\n')
    tensor = gcp.read_tensor(path, separator="::", header=False, unlisted="zero")
    assert tensor.labels.coords[0].tolist() == ['"a', 'c"']


def test_files_that_unpack_themselves(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"user,item,value\na,x,1\nb,y,2\n"))
    for opened in (gzip.open, partial(gzip.open, mode="rt"), partial(open, mode="rb")):
        with opened(path) as file:
            assert gcp.read_tensor(file, unlisted="zero").values.tolist() == [[1, 0], [0, 2]]


def test_open_files(tmp_path, capsys, monkeypatch):
    text = "user,item,value\na,x,1\nb,y,2\n"
    path = tmp_path / "a.csv"
    path.write_text(text)
    packed = io.BytesIO(gzip.compress(text.encode()))
    with open(path, "rb") as binary, open(path) as characters:
        found = [
            gcp.read_tensor(binary, unlisted="zero"),
            gcp.read_tensor(characters, unlisted="zero"),
            gcp.read_tensor(io.StringIO(text), unlisted="zero", format="csv"),
            gcp.read_tensor(packed, unlisted="zero", format=".csv.gz"),
        ]
    assert all(np.array_equal(one.values, [[1, 0], [0, 2]]) for one in found)
    with pytest.raises(ParameterError, match=r'the file: its name tells no format: .*format="csv"'):
        gcp.read_tensor(io.StringIO(text))
    with pytest.raises(ParameterError, match=r"format must be one of \.csv"):
        gcp.read_tensor(io.StringIO(text), format="table")
    with pytest.raises(ParameterError, match="the file was opened as text"):
        gcp.read_tensor(io.StringIO(text), format="csv", encoding="latin-1")
    with pytest.raises(DataError, match="expected UTF-8 text"):
        gcp.read_tensor(io.StringIO("a,value\n\udce5,1\n"), format="csv")
    with pytest.raises(DataError, match="cannot be read"), open(tmp_path / "b.csv", "w") as written:
        gcp.read_tensor(written)
    with pytest.raises(ParameterError, match="memory is for files by name"):
        gcp.read_tensor(io.BytesIO(b"x"), format="npy", memory="1GB")
    with pytest.raises(DataError, match="the file: the file is empty"):
        gcp.read_tensor(io.BytesIO(), format="npy")
    stream = io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr("sys.stdin", stream)
    assert main(["info", "-", "--format", "csv", "--unlisted", "zero"]) == 0
    assert "2 x 2" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["info", "-"]) == 2
    assert "--format csv" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".dat", ".parquet", ".feather"])
def test_very_many_columns_are_one_sentence(tmp_path, ending):
    names = [f"c{k}" for k in range(2000)]
    path = tmp_path / f"a{ending}"
    if ending in (".parquet", ".feather"):
        getattr(pd.DataFrame([range(2000)], columns=names), f"to_{ending[1:]}")(path)
    else:
        separator = "\t" if ending == ".tsv" else ","
        path.write_text(separator.join(names) + "\n" + separator.join("1" * 2000) + "\n")
    with pytest.raises(DataError, match=r"1,999 columns beside the values, but a tensor has at most 64"):
        gcp.read_tensor(path)
