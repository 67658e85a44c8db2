"""Input that can be read as what it is not: all readers and forms refuse it, or read it right, alike."""

import gzip

import numpy as np
import pandas as pd
import pytest

import gcp
from gcp import DataError
from gcp.cli import main
from gcp.io.convert import convert

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
