"""Input that can be read as what it is not: all readers and forms refuse it, or read it right, alike."""

import gzip

import numpy as np
import pandas as pd
import pytest

import gcp
from gcp import DataError
from gcp.cli import main
from gcp.io.convert import convert
from gcp.tensors.coerce import as_tensor
from gcp.tensors.recognise import refuse_long

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


def test_random_matrices_of_counts_are_hardly_ever_taken_for_tables(rng):
    for _ in range(300):
        shape = rng.integers(3, 60), rng.integers(3, 7)
        refuse_long(
            pd.DataFrame(rng.poisson(rng.choice([0.5, 2, 5]), shape)).set_axis(range(shape[1]), axis=1)
        )


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
