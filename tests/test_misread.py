"""Input that can be read as what it is not: all readers and forms refuse it, or read it right, alike."""

import gzip

import numpy as np
import pandas as pd
import pytest

import gcp
from gcp import DataError
from gcp.cli import main
from gcp.io.convert import convert
from gcp.tensors.intake.coerce import as_tensor

# ---- a cell given twice, of a tensor of which nothing else is known

ROWS = [("1", "1", 5), ("1", "1", 3), ("2", "1", 4), ("2", "2", 2)]


def listing(path, ending):
    """The rows as a file of this kind."""
    path = path / f"a{ending}"
    table = pd.DataFrame(ROWS, columns=["user", "film", "stars"])
    if ending.startswith(".csv"):
        table.to_csv(path, index=False)
    elif ending == ".parquet":
        table.to_parquet(path)
    else:
        text = "".join(f"{user} {film} {stars}\n" for user, film, stars in ROWS)
        text = f"sptensor\n2\n2 2\n4\n{text}" if ending in (".ttb", ".txt") else text
        path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    return path


def read_file(ending):
    return lambda path, **options: gcp.read_tensor(listing(path, ending), unlisted="missing", **options)


def read_frame(path, **options):
    return gcp.from_frame(
        pd.DataFrame(ROWS, columns=["u", "f", "s"]), ["u", "f"], "s", unlisted="missing", **options
    )


def read_dask(path, **options):
    dask = pytest.importorskip("dask.dataframe")
    table = dask.from_pandas(pd.DataFrame(ROWS, columns=["u", "f", "s"]), npartitions=2)
    return gcp.from_frame(table, ["u", "f"], "s", unlisted="missing", **options)


def read_converted(path, **options):
    convert(listing(path, ".tns"), path / "b.npz", memory=10**8, unlisted="missing", **options)
    return gcp.read_tensor(path / "b.npz")


def read_listed(path, **options):
    subs = np.array([row[:2] for row in ROWS]).astype(int) - 1
    return gcp.ObservedTensor(subs, [row[2] for row in ROWS], **options)


READERS = {ending: read_file(ending) for ending in (".tns", ".tns.gz", ".csv", ".csv.gz", ".parquet", ".ttb")}
READERS |= {"frame": read_frame, "dask": read_dask, "convert": read_converted, "listed": read_listed}


@pytest.mark.parametrize("reader", READERS)
def test_a_rating_given_twice_is_not_added(tmp_path, reader):
    with pytest.raises(DataError, match=r"list the same cell .*1 such repetition in all.*\"mean\""):
        READERS[reader](tmp_path)
    for aggregate, value in (("mean", 4), ("sum", 8)):
        tensor = READERS[reader](tmp_path, aggregate=aggregate)
        dense = tensor if isinstance(tensor, gcp.DenseTensor) else tensor.to_dense()
        assert dense.values[0, 0] == value
        assert dense.entry_weights[0, 1] == 0


def test_a_rating_given_twice_on_the_command_line(tmp_path, capsys):
    path = str(listing(tmp_path, ".csv"))
    assert main(["info", path, "--unlisted", "missing"]) == 2
    assert "list the same cell" in capsys.readouterr().err
    assert main(["info", path, "--unlisted", "missing", "--aggregate", "mean"]) == 0


def test_amounts_and_counts_of_rows_are_added_as_before():
    table = pd.DataFrame(ROWS, columns=["u", "f", "s"])
    assert gcp.from_frame(table, ["u", "f"], "s", unlisted="zero").values.tolist() == [[8, 0], [4, 2]]
    assert gcp.from_frame(table, ["u", "f"], unlisted="missing").values[0, 0] == 2


# ---- tables that are given as data


def ratings(n_users=50, n_films=40, n=400, seed=0):
    rng = np.random.default_rng(seed)
    cells = rng.choice(n_users * n_films, n, replace=False)
    users, films = np.divmod(cells, n_films)
    return pd.DataFrame(
        {"userId": users + 1, "movieId": films + 1, "rating": rng.integers(1, 6, n), "timestamp": n + cells}
    )


class Polarslike:
    """What a table of Polars offers, where Polars is not installed."""

    def __init__(self, frame):
        self._frame, self.columns = frame, list(frame.columns)

    def __array__(self, dtype=None, copy=None):
        return self._frame.to_numpy()

    def __len__(self):
        return len(self._frame)

    def __getitem__(self, key):
        return self._frame[key]

    def __arrow_c_stream__(self, requested_schema=None):
        return arrow(self._frame).__arrow_c_stream__(requested_schema)


def arrow(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


def polars(frame):
    return pytest.importorskip("polars").DataFrame({name: frame[name].to_numpy() for name in frame})


GRID = pd.DataFrame([(i, j, k, i * j + k) for i in range(4) for j in range(3) for k in range(2)])
LONG = {
    "ratings": (ratings(), r"modes=\['userId', 'movieId'\], value='rating'"),
    "rows left": (ratings()[lambda t: t.rating > 2], r"modes=\['userId', 'movieId'\]"),
    "index that repeats": (ratings().set_index("userId"), ""),
    "usual names": (
        pd.DataFrame({"user": [1, 2], "film": [1, 1], "stars": [3.5, 4]}),
        r"modes=\['user', 'film'\], value='stars'",
    ),
    "no names": (ratings().set_axis(range(4), axis=1), r"modes=\[0, 1\], value=2"),
    "unusual names": (ratings().set_axis(list("abcd"), axis=1), r"modes=\['a', 'b'\], value='c'"),
    "floats": (ratings().astype(float).set_axis(list("abcd"), axis=1), r"modes=\['a', 'b'\]"),
    "a full grid": (GRID, r"modes=\[0, 1, 2\], value=3"),
    "polars": (Polarslike(ratings()), r"modes=\['userId', 'movieId'\], value='rating'"),
    "polars, any columns": (Polarslike(pd.DataFrame({"p": [0.5, 0.25], "q": [1.5, 2.5]})), ""),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_table_is_no_matrix(kind):
    table, call = LONG[kind]
    with pytest.raises(DataError, match=f"long table.*from_frame.*{call}"):
        gcp.fit_gcp(table, 1)


@pytest.mark.parametrize("make", [Polarslike, arrow, polars, pd.DataFrame])
def test_tables_of_every_library_are_refused_and_read_as_they_are_told(make):
    table = make(ratings())
    with pytest.raises(
        DataError, match=r"from_frame\(table, modes=\['userId', 'movieId'\], value='rating'\)"
    ):
        gcp.fit_gcp(table, 1)
    tensor = gcp.from_frame(table, ["userId", "movieId"], "rating", unlisted="missing")
    expected = gcp.from_frame(ratings(), ["userId", "movieId"], "rating", unlisted="missing")
    np.testing.assert_array_equal(tensor.values, expected.values)
    assert tensor.labels == expected.labels
    counts = gcp.from_frame(make(pd.DataFrame({"who": ["b", "a", "b"]})), ["who"])
    assert counts.values.tolist() == [1, 2]


def matrices(rng):
    counts = rng.poisson(3.0, (400, 4))
    return {
        "counts": pd.DataFrame(counts, columns=list("abcd")),
        "counts without names": pd.DataFrame(counts),
        "few rows": pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}),
        "measurements": pd.DataFrame(rng.normal(size=(200, 5)), columns=[f"gene_{k}" for k in range(5)]),
        "large counts": pd.DataFrame(rng.poisson(1000.0, (300, 4)), columns=list("abcd")),
        "zeros and ones": pd.DataFrame(rng.integers(0, 2, (30, 6)), columns=list("abcdef")),
        "labelled rows": ratings().rename_axis(index="row"),
        "labelled columns": ratings().rename_axis(columns="feature"),
        "rows by names": ratings(n=26).set_axis([chr(65 + n) for n in range(26)]),
        "years": pd.DataFrame(counts[:4], columns=[1990, 1991, 1992, 1993]),
    }


@pytest.mark.parametrize("kind", matrices(np.random.default_rng(0)))
def test_a_matrix_stays_a_matrix(kind):
    frame = matrices(np.random.default_rng(0))[kind]
    assert as_tensor(frame).shape == frame.shape


def test_random_matrices_of_counts_are_not_taken_for_tables(rng):
    for _ in range(300):
        shape = rng.integers(3, 60), rng.integers(3, 7)
        frame = pd.DataFrame(rng.poisson(rng.choice([0.5, 2, 5]), shape)).set_axis(range(shape[1]), axis=1)
        assert as_tensor(frame).shape == frame.shape


# ---- counts in a Series, of which some cells are not listed


@pytest.mark.parametrize("values", [[1, 2, 3], [1.0, 2.5, 3.0], [True, False, True]])
def test_a_series_that_leaves_cells_out_asks_what_they_are(values):
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("b", 2)], names=["k", None])
    series = pd.Series(values, index=index)
    with pytest.raises(
        DataError, match=r"leaves 1 of the 4 cells .* out.*modes=\['k', 'level_1'\].*zero.*missing"
    ):
        gcp.fit_gcp(series, 1)
    frame = series.reset_index(name="value")  # as the message says
    for unlisted, value in (("zero", 0), ("missing", np.nan)):
        tensor = gcp.from_frame(frame, modes=["k", "level_1"], value="value", unlisted=unlisted)
        assert tensor.values[0, 0] == value or tensor.entry_weights[0, 0] == 0
        assert tensor.values[1, 1] == values[2]


# ---- objects of which NumPy makes an array that they are not


class Graph:
    """What NumPy sees of a graph of networkx: a length, and neighbours by node."""

    __module__ = "networkx.classes.graph"

    def __init__(self, n):
        self.nodes = {k: {(k + 1) % n: {}} for k in range(n)}

    def __len__(self):
        return len(self.nodes)

    def __iter__(self):
        return iter(self.nodes)

    def __getitem__(self, node):
        return self.nodes[node]


STRANGERS = {
    "graph": (Graph(5), r"networkx.classes.graph.Graph.*to_pandas_edgelist"),
    "graphs": ([Graph(5), Graph(5)], "hold an object of class networkx"),
    "dict": ({0: 1.0, 1: 2.0}, "class dict"),
    "dicts": ([{0: 1.0}], "hold an object of class dict"),
    "set": ({1.0, 2.0}, "class set"),
    "generator": ((k for k in range(3)), "class generator"),
    "view": ({0: 1.0}.values(), "class dict_values"),
    "bytes": (b"12345", "class bytes"),
    "bytearray": (bytearray(b"12345"), "class bytearray"),
    "object": (object(), "class object"),
    "class": (np.ndarray, "class type"),
    "function": (len, "class builtin_function_or_method"),
    "nothing": (None, "class NoneType"),
    "text": ("3.5", "read_tensor"),
    "model": (gcp.fit_gcp(np.ones((3, 2)), 1).cp, "CPTensor"),
    "index": (pd.Index([1, 2]), "pandas Index: expected a Series or a DataFrame"),
    "extension array": (pd.array([1, 2]), "expected a Series or a DataFrame"),
}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("call", ["fit", "write", "hold_out"])
def test_unknown_objects_are_refused_in_one_sentence(kind, call, tmp_path):
    data, message = STRANGERS[kind]
    calls = {
        "fit": lambda: gcp.fit_gcp(data, 1),
        "write": lambda: gcp.write_tensor(tmp_path / "a.npy", data),
        "hold_out": lambda: gcp.hold_out(data, 0.1),
    }
    with pytest.raises(DataError, match=message):
        calls[call]()


def test_a_graph_of_networkx():
    networkx = pytest.importorskip("networkx")
    graph = networkx.path_graph(5)
    with pytest.raises(DataError, match="to_pandas_edgelist"):
        gcp.fit_gcp(graph, 1)


class Dlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Interface:
    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


@pytest.mark.parametrize("make", [Dlpack, Interface, list, tuple, np.ndarray.tolist])
def test_arrays_of_every_protocol_are_read(make):
    x = np.arange(6.0).reshape(2, 3)
    assert as_tensor(make(x)).values.tolist() == x.tolist()


def test_whole_numbers_in_a_range_are_read():
    assert as_tensor(range(3)).values.tolist() == [0, 1, 2]


# ---- tables in files without a header, and wide ones

HEADLESS = {
    "one number": "a,x,1\nb,y,2\na,y,3\n",
    "ratings": "196,242,3,881250949\n186,302,3,891717742\n22,377,1,878887116\n",
    "the same label twice": "1,1,5\n1,2,3\n2,1,4\n",
    "fractions": "a,x,0.5\nb,y,-2e3\n",
    "days": "2020-01-01,x,4\n2020-01-02,y,2\n",
    "no value in line 1": "a,x,NA\nb,y,2\n",
}


@pytest.mark.parametrize("kind", HEADLESS)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_table_without_a_header_loses_no_row(tmp_path, capsys, kind, ending):
    text = HEADLESS[kind]
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    with pytest.raises(DataError, match=r"Columns are called .* header=False,"):
        gcp.read_tensor(path, unlisted="missing")
    assert main(["info", str(path), "--unlisted", "zero"]) == 2
    assert "--no-header" in capsys.readouterr().err
    rows = [line.split(",") for line in text.split()]
    tensor = gcp.read_tensor(path, header=False, modes=[0, 1], value=2, unlisted="missing")
    assert tensor.shape == (len({row[0] for row in rows}), len({row[1] for row in rows}))
    known = sum(row[2] != "NA" for row in rows)
    assert np.count_nonzero(~np.isnan(tensor.values) & (tensor.entry_weights != 0)) == known
    command = ["info", str(path), "--no-header", "--modes", "0,1", "--value", "2", "--unlisted", "missing"]
    assert main(command) == 0


def test_a_header_that_is_named_is_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,x,1\nb,y,2\na,y,3\n")
    tensor = gcp.read_tensor(path, modes=["a", "x"], value="1", unlisted="missing")
    assert tensor.labels.names == ("a", "x")
    path.write_text("country,1990\nA,1\nB,2\n")
    assert gcp.read_tensor(path, modes=["country"]).values.tolist() == [1, 2]


def test_separators(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("1\tb\t3\n2\tc\t4\n")
    with pytest.raises(DataError, match=r"separated by tabs: separator='\\t'"):
        gcp.read_tensor(path)
    for separator in ("\t", "TAB"):
        tensor = gcp.read_tensor(path, header=False, separator=separator, unlisted="zero")
        assert tensor.values.tolist() == [[3, 0], [0, 4]]
        assert tensor.labels.names == ("0", "1")
    options = [
        "--no-header",
        "--separator",
        "TAB",
        "--modes",
        "0,1",
        "--value",
        "2",
        "--unlisted",
        "zero",
        "--json",
    ]
    assert main(["info", str(path), *options]) == 0
    assert '"mean": 1.75' in capsys.readouterr().out
    with pytest.raises(gcp.ParameterError, match="one character or more"):
        gcp.read_tensor(path, separator="")


X = np.array([[1.5, 2.5, 3.5], [4.5, np.nan, 6.5]])
WIDE = {
    "years": (["1990", "1991", "1992"], [1990, 1991, 1992]),
    "wavelengths": (["230", "235.5", "240"], [230, 235.5, 240]),
    "days": (
        ["2020-01-01", "2020-01-02", "2020-02-01"],
        np.array(["2020-01-01", "2020-01-02", "2020-02-01"], "M8[D]"),
    ),
    "days as elsewhere": (["01/02/2020", "02/02/2020", "03/02/2020"], None),
    "quarters": (["2020Q1", "2020Q2", "2020Q3"], None),
    "months": (["Jan", "Feb", "Mar"], None),
    "years of R": (["X1990", "X1991", "X1992"], None),
    "numbers with zeros": (["007", "07", "7"], None),
}


def write_wide(path, names, x):
    frame = pd.DataFrame(x, columns=names)
    frame.insert(0, "country", ["B", "A"])
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_a_wide_table_is_no_tensor_of_many_modes(tmp_path, capsys, kind, ending):
    names, labels = WIDE[kind]
    path = tmp_path / f"a{ending}"
    write_wide(path, names, X)
    with pytest.raises(DataError, match=r"Columns are called .* wide=\"year\";"):
        gcp.read_tensor(path, unlisted="missing")
    tensor = gcp.read_tensor(path, wide="year")
    np.testing.assert_array_equal(tensor.values, X[::-1])
    assert tensor.labels == gcp.ModeLabels(
        ["country", "year"], [["A", "B"], names if labels is None else labels]
    )
    assert main(["info", str(path), "--wide", "year"]) == 0
    assert "year" in capsys.readouterr().out


def test_a_wide_table_of_other_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("gene,tissue,s1,s2,s3\nA,x,1.25,2.5,3.5\nB,y,4.5,5.25,6.5\nA,y,7.5,8.5,9.75\n")
    with pytest.raises(DataError, match=r"'s1' and 's2' hold fractions.*wide="):
        gcp.read_tensor(path, unlisted="missing")
    with pytest.raises(DataError, match="3 of the 12 cells"):
        gcp.read_tensor(path, wide="sample")
    tensor = gcp.read_tensor(path, wide="sample", unlisted="zero")
    assert tensor.labels.names == ("gene", "tissue", "sample")
    assert tensor.values[0].tolist() == [[1.25, 2.5, 3.5], [7.5, 8.5, 9.75]]
    assert tensor.values[1].tolist() == [[0, 0, 0], [4.5, 5.25, 6.5]]
    path.write_text("gene,s1,s2\nA,1,2\nA,3,4\n")
    with pytest.raises(DataError, match=r"line 2, column 's1' and line 3, column 's1' list the same cell"):
        gcp.read_tensor(path, wide="sample")
    path.write_text("gene,s1,s2\nA,1,2\nB,3,oops\n")
    with pytest.raises(DataError, match="'s2' should hold numbers: found 'oops' in line 3"):
        gcp.read_tensor(path, wide="sample")
    with pytest.raises(gcp.ParameterError, match="does not apply to a wide table"):
        gcp.read_tensor(path, wide="sample", value="s1")


def test_an_emission_matrix_with_nothing_in_its_corner(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",230,235,240\n290,1.5,2.5,3.5\n294,4.5,,6.5\n")
    with pytest.raises(DataError, match="wide="):
        gcp.read_tensor(path)
    tensor = gcp.read_tensor(path, wide="excitation")
    np.testing.assert_array_equal(tensor.values, X)
    assert tensor.labels == gcp.ModeLabels(["mode_0", "excitation"], [[290, 294], [230, 235, 240]])


# ---- identifiers that are numbers in form only

IDS = {
    "leading zeros": ["007", "7", "07"],
    "beyond 64 bits": ["9223372036854775808", "9223372036854775809", "9223372036854775810"],
    "beyond a float": ["9007199254740992", "9007199254740993", "9007199254740994"],
    "beyond unsigned 64 bits": ["18446744073709551616", "18446744073709551617", "18446744073709551618"],
    "beside fractions": ["9007199254740992", "9007199254740993", "0.5"],
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", "quoted.csv", "wide.csv"])
def test_identifiers_neither_merge_nor_change(tmp_path, kind, ending):
    ids = IDS[kind]
    path = tmp_path / f"a{ending}"
    mark = '"' if ending == "quoted.csv" else ""
    rows = [f"{mark}{one}{mark},{k + 1}" for k, one in enumerate(ids)]
    text = "id,b\n" + "".join(f"{row},{k}\n" for k, row in enumerate(rows))
    text = text.replace("id,b", "id,s,t" if ending == "wide.csv" else "id,b,value")
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    options = {"wide": "sample", "modes": ["id"]} if ending == "wide.csv" else {"unlisted": "missing"}
    tensor = gcp.read_tensor(path, **options)
    assert sorted(map(str, tensor.labels.coords[0].tolist())) == sorted(ids)
    assert tensor.shape[0] == 3


def test_numbers_stay_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y,value\n0.50,10,1\n1e3,9,2\n.5,10,3\n")
    tensor = gcp.read_tensor(path, unlisted="zero")
    assert tensor.labels == gcp.ModeLabels(["x", "y"], [[0.5, 1000], [9, 10]])
    assert tensor.values.tolist() == [[0, 4], [2, 0]]


@pytest.mark.parametrize("kind", ["beyond 64 bits", "beyond a float", "beyond unsigned 64 bits"])
def test_identifiers_of_frames(kind):
    ids = [int(one) for one in IDS[kind]]
    for column in (ids, pd.Series(ids, dtype=object), list(map(str, ids))):
        frame = pd.DataFrame({"id": column, "v": [1, 2, 3]})
        coord = gcp.from_frame(frame, ["id"], "v").labels.coords[0]
        assert [str(one) for one in coord.tolist()] == [str(one) for one in ids]
    lost = pd.DataFrame({"id": [*map(float, ids)], "v": [1, 2, 3]})
    with pytest.raises(DataError, match="'id' are floats of more digits than these hold"):
        gcp.from_frame(lost, ["id"], "v")
    index = pd.MultiIndex.from_arrays([lost["id"].unique(), ["a"] * lost["id"].nunique()])
    with pytest.raises(DataError, match="floats of more digits"):
        gcp.fit_gcp(pd.Series(range(len(index)), index=index), 1)
    frame = pd.DataFrame({"hertz": [1e16, 2.5e17], "v": [1, 2]})
    assert gcp.from_frame(frame, ["hertz"], "v").labels.coords[0].tolist() == [1e16, 2.5e17]


@pytest.mark.parametrize("ids", [[2**63 + 1, 2**63 + 2, 5], [2**64, 2**64 + 1, 5], [2**63, -1, 0]])
@pytest.mark.parametrize(
    "labels",
    [
        lambda ids: gcp.ModeLabels(["id"], [ids]),
        lambda ids: gcp.ModeLabels(["id"], [np.array(ids, object)]),
        lambda ids: as_tensor(pd.Series([1, 2, 3], index=pd.Index(ids, dtype=object))).labels,
        lambda ids: as_tensor(pd.DataFrame({"v": [1, 2, 3]}, index=pd.Index(ids, dtype=object))).labels,
    ],
)
def test_large_identifiers_beside_small_ones(labels, ids):
    assert list(map(str, labels(ids).coords[0].tolist())) == list(map(str, ids))


@pytest.mark.parametrize("ids", [[1, "1", 2], ["2", "3", 2], [1.5, "1.5", 1]])
def test_a_label_as_a_number_and_as_text_is_not_two_positions(ids):
    frame = pd.DataFrame({"id": pd.Series(ids, dtype=object), "v": [1, 2, 3]})
    with pytest.raises(DataError, match="which may be one: make them of one type"):
        gcp.from_frame(frame, ["id"], "v")
    index = pd.MultiIndex.from_arrays([ids, list("aaa")])
    with pytest.raises(DataError, match="which may be one: make them of one type"):
        as_tensor(pd.Series([1, 2, 3], index=index))
    assert gcp.from_frame(frame.assign(id=frame["id"].astype(str)), ["id"], "v").shape == (
        len(set(map(str, ids))),
    )


# ---- what is said of tables that cannot be read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user;item;value\na;x;1,5\n", r"line 1: .*separated by semicolons: separator=';'"),
        ("# by me\nuser,item,value\na,x,1\n", "line 1 is a comment, '# by me'"),
        (
            "user,item,value\na,x,1,\n",
            r"line 2: expected 3 fields, found 4 \(the line ends with a separator\)",
        ),
        ("user,item,value,\na,x,1,5\n", "Column 4 has no name"),
        (
            ",".join(f"c{k}" for k in range(100)) + "\n" + ",".join("1" * 100),
            "99 columns beside the values.*64 modes",
        ),
        ('user,item,value\na,x,"1,5"\n', r"found '1,5' in line 2.*decimal=','"),
        ("user,item,value\n\na,x,1\n\n\nb,y,oops\n", "found 'oops' in line 6"),
        ("Unnamed: 0,user,value\n0,a,1\n", "Column 1 has no name"),
    ],
)
def test_what_is_said_of_bad_tables(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        gcp.read_tensor(path, unlisted="zero")


def test_separators_at_the_ends_of_lines_hold_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("user,item,value,\na,x,1,\nb,y,2,\n")
    assert gcp.read_tensor(path, unlisted="zero").values.tolist() == [[1, 0], [0, 2]]
    path.write_text("user;item;value\na;x;1,5\n")
    with pytest.raises(DataError, match=r"decimal=','"):
        gcp.read_tensor(path, separator=";")


def test_very_many_columns_are_refused_at_once(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{k}" for k in range(10**5)) + "\n" + ",".join("1" * 10**5) + "\n")
    with pytest.raises(DataError, match="99,999 columns beside the values"):
        gcp.read_tensor(path)


def test_labels_of_several_parts():
    frame = pd.DataFrame({"k": [(1, "q"), (2, "q")], "n": [1, 2]})
    with pytest.raises(DataError, match=r"'k' has labels of several parts, such as \(1, 'q'\)"):
        gcp.from_frame(frame, ["k"], "n")


@pytest.mark.parametrize("name", ["modes", "wide", "separator", "header", "unlisted", "aggregate"])
@pytest.mark.parametrize("given", [1.5, object(), b"x"])
def test_options_of_wrong_types(tmp_path, name, given):
    path = tmp_path / "a.csv"
    path.write_text("a,b,value\nx,y,1\n")
    with pytest.raises(gcp.ParameterError, match=r"modes|wide|separator|header|unlisted|aggregate|column"):
        gcp.read_tensor(path, **{name: given})
