"""The command line on tables of events and other tensors that list their entries."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gcp
from gcp.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def events(folder):
    """Clicks of two groups of users, each on its own pages; several rows for one cell."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 4000)
    frame = pd.DataFrame(
        {
            "user": [f"user-{u:03d}" for u in rng.integers(0, 150, 4000) + 150 * group],
            "page": [f"/p{p}" for p in rng.integers(0, 100, 4000) + 100 * group],
            "day": pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 60, 4000), "D"),
            "agent": "x",
            "count": rng.integers(1, 3, 4000),
        }
    )
    frame.to_csv("events.csv", index=False)
    return frame


READING = "--modes user,page,day --value count --unlisted zero"


def run_json(capsys, line):
    assert main(f"{line} --json".split()) == 0
    return json.loads(capsys.readouterr().out)


def fit_json(capsys, line):
    return run_json(capsys, f"fit {line} --quiet --seed 0")


def error_of(capsys, line):
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("gcp: error: ")
    assert err.count("\n") == 1
    return err


def test_raw_table_of_events_in_a_process(events):
    line = f"-m gcp fit events.csv {READING} --loss poisson --rank 2 --seed 0 --out r.npz --json --quiet"
    done = subprocess.run(
        [sys.executable, *line.split()], capture_output=True, text=True, timeout=300, check=True
    )
    found = json.loads(done.stdout)
    assert found["shape"] == [events[name].nunique() for name in ("user", "page", "day")]
    assert found["converged"]
    result = gcp.FitResult.load("r.npz")
    assert result.labels.names == ("user", "page", "day")
    assert result.labels.coords[0].tolist() == sorted(set(events["user"]))
    # The two components are the two groups of users.
    users = np.argmax(result.factors[0] * result.weights, axis=1)
    second = np.array([int(name[5:]) >= 150 for name in result.labels.coords[0]])
    assert (users == second).mean() > 0.99 or (users != second).mean() > 0.99
    # A Poisson model with free components has the total of the counts.
    assert np.sum(result.weights * np.prod([a.sum(axis=0) for a in result.factors], axis=0)) == pytest.approx(
        events["count"].sum(), rel=1e-3
    )


def test_info_of_a_sparse_tensor(events, capsys):
    facts = run_json(capsys, f"info events.csv {READING}")
    table = events.groupby(["user", "page", "day"])["count"].sum()
    sizes = [events[name].nunique() for name in ("user", "page", "day")]
    cells = int(np.prod(sizes))
    assert facts["kind"] == "sparse"
    assert facts["shape"] == sizes
    assert (facts["cells"], facts["missing"], facts["listed"]) == (cells, 0, len(table))
    assert facts["zeros"] == cells - len(table)
    assert facts["density"] == pytest.approx(len(table) / cells)
    full = np.zeros(cells)
    full[: len(table)] = table
    assert facts["mean"] == pytest.approx(full.mean())
    assert facts["variance"] == pytest.approx(full.var())
    assert (facts["min"], facts["max"]) == (0, table.max())
    assert facts["losses"]["poisson"]["admitted"]
    assert f"and {cells - len(table) - 1} more" in facts["losses"]["gamma"]["reason"]
    assert main(f"info events.csv {READING}".split()) == 0
    shown = capsys.readouterr().out
    assert f"sparse: {len(table):,} cells listed" in shown
    assert "others are zero" in shown


def test_info_of_known_entries(events, capsys):
    facts = run_json(capsys, f"info events.csv {READING.replace('zero', 'missing')} --aggregate mean")
    table = events.groupby(["user", "page", "day"])["count"].mean()
    assert facts["kind"] == "observed"
    assert facts["missing"] == facts["cells"] - len(table)
    assert facts["zeros"] == 0
    assert facts["mean"] == pytest.approx(table.mean())
    assert facts["variance"] == pytest.approx(table.var(ddof=0))
    assert facts["losses"]["gamma"]["admitted"]


def test_info_of_a_huge_shape(folder, capsys):
    gcp.write_tensor(
        "huge.npz", gcp.SparseTensor([[5, 6, 7]], [3], (2**40, 2**40, 2**40), missing=[[0, 0, 0]])
    )
    facts = run_json(capsys, "info huge.npz")
    assert facts["cells"] == 2**120
    assert facts["zeros"] == 2**120 - 2
    assert facts["missing"] == 1
    assert main(["info", "huge.npz"]) == 0
    assert f"{2**120 - 2:,}" in capsys.readouterr().out


def test_info_with_weighted_modes(folder, capsys):
    tensor = gcp.SparseTensor([[0, 0], [1, 1]], [2.0, 3.0], (3, 4), mode_weights=[[1, 0, 2], None])
    gcp.write_tensor("a.npz", tensor)
    facts = run_json(capsys, "info a.npz")
    assert (facts["missing"], facts["zeros"], facts["max"]) == (4, 7, 2)
    assert facts["mean"] == pytest.approx(2 / 8)


def test_convert_there_and_back(events, capsys):
    assert main(f"convert events.csv events.npz {READING}".split()) == 0
    assert "SparseTensor(" in capsys.readouterr().out
    assert main(["convert", "events.npz", "events.tns.gz"]) == 0
    assert main(["convert", "events.tns.gz", "again.npz"]) == 0
    first, second = gcp.read_tensor("events.npz"), gcp.read_tensor("again.npz")
    np.testing.assert_array_equal(first.subs, second.subs)
    np.testing.assert_array_equal(first.values, second.values)
    assert first.shape == second.shape


def test_convert_in_bounded_memory(events, capsys):
    assert main(f"convert events.csv events.tns.gz {READING}".split()) == 0
    options = "--aggregate mean --unlisted missing"
    assert main(f"convert events.tns.gz a.npz {options}".split()) == 0
    plain = capsys.readouterr().out.splitlines()[-1]
    assert main(f"convert events.tns.gz b.npz --memory 64MB {options}".split()) == 0
    assert capsys.readouterr().out == plain.replace("a.npz", "b.npz") + "\n"
    one, two = gcp.read_tensor("a.npz"), gcp.read_tensor("b.npz")
    assert type(one) is type(two) is gcp.ObservedTensor
    np.testing.assert_array_equal(one.subs, two.subs)
    np.testing.assert_array_equal(one.values, two.values)
    assert "from .tns or .tns.gz to .npz" in error_of(capsys, "convert events.csv b.npz --memory 2GB")
    assert "from .tns or .tns.gz to .npz" in error_of(capsys, "convert nyc_flights b.npz --memory 2GB")
    assert "at least 64 MB" in error_of(capsys, "convert events.tns.gz b.npz --memory 63.9MB")
    error = error_of(capsys, "convert events.tns.gz b.npz --memory 2GB --value count")
    assert "--value does not apply to .tns files, which --memory is for" in error
    error = error_of(capsys, "convert events.tns.gz b.npz --memory much")
    assert """it must be a size such as 500_000_000, "500MB" or "2GB": found 'much'""" in error


def test_exclude_zeros_means_listed_entries_alone(folder, capsys, rng):
    subs = np.unique(rng.integers(0, [200, 150, 100], (2000, 3)), axis=0)
    values = rng.gamma(2.0, 1.0, len(subs))
    gcp.write_tensor("a.tns", gcp.SparseTensor(subs, values, (200, 150, 100)))
    assert "needs data in (0, inf): found 0.0" in error_of(capsys, "fit a.tns --rank 1 --loss gamma")
    assert "--exclude-zeros leaves zeros out" in error_of(capsys, "fit a.tns --rank 1 --loss gamma")
    found = fit_json(capsys, "a.tns --rank 1 --loss gamma --exclude-zeros")
    known = gcp.ObservedTensor(subs, values, (200, 150, 100))
    expected = gcp.fit_gcp(known, 1, loss="gamma", random_state=0)
    assert found["objective"] == pytest.approx(expected.objective)
    gcp.write_tensor("b.npz", gcp.ObservedTensor(np.vstack([subs, [0, 0, 101]]), [*values, 0.0]))
    assert fit_json(capsys, "b.npz --rank 1 --loss gamma --exclude-zeros")["objective"] == pytest.approx(
        expected.objective
    )


class TestCompanions:
    """The same mask and weights in every kind of file, on every kind of data."""

    shape = (120, 110, 100)  # too many cells for a thin listing to be stored

    @pytest.fixture
    def made(self, folder, rng):
        x = rng.poisson(0.004, self.shape)
        mask = rng.random(self.shape) < 0.05
        weights = mask * rng.integers(1, 4, self.shape)
        for name, array in (("x", x), ("mask", mask), ("weights", weights)):
            np.save(f"{name}.npy", array)
            gcp.write_tensor(f"{name}.tns", array.astype(int))
        known = np.argwhere(rng.random(self.shape) < 0.06)
        gcp.write_tensor("known.npz", gcp.ObservedTensor(known, x[tuple(known.T)], self.shape))
        assert isinstance(gcp.read_tensor("x.tns"), gcp.SparseTensor)
        assert isinstance(gcp.read_tensor("mask.tns"), gcp.SparseTensor)
        return x, mask, weights

    @pytest.mark.parametrize("data", ["x.npy", "x.tns"])
    @pytest.mark.parametrize("ending", [".npy", ".tns"])
    def test_fit(self, made, capsys, data, ending):
        x, mask, weights = made
        line = f"{data} --rank 1 --loss poisson --solver lbfgsb --max-iter 20 --mask mask{ending}"
        expected = gcp.fit_gcp(
            x, 1, loss="poisson", solver="lbfgsb", n_iter_max=20, mask=mask, random_state=0
        )
        assert fit_json(capsys, line)["null_objective"] == pytest.approx(expected.null_objective)
        found = fit_json(capsys, line.replace("--mask mask", "--entry-weights weights"))
        expected = gcp.fit_gcp(
            x, 1, loss="poisson", solver="lbfgsb", n_iter_max=20, entry_weights=weights, random_state=0
        )
        assert found["null_objective"] == pytest.approx(expected.null_objective)
        assert found["objective"] == pytest.approx(expected.objective, rel=1e-4)

    def test_fit_of_known_entries(self, made, capsys):
        x, mask, _ = made
        known = gcp.read_tensor("known.npz")
        both = mask & (known.to_dense().entry_weights != 0)
        expected = gcp.build_objective(x, "poisson", mask=both).null_value
        for ending in (".npy", ".tns"):
            found = fit_json(capsys, f"known.npz --rank 1 --loss poisson --max-iter 1 --mask mask{ending}")
            assert found["null_objective"] == pytest.approx(expected)

    def test_what_does_not_fit(self, made, capsys):
        gcp.write_tensor("other.npz", gcp.SparseTensor([[0, 0, 0]], [1], (120, 110, 101)))
        assert "mask has shape (120, 110, 101)" in error_of(capsys, "fit x.tns --rank 1 --mask other.npz")
        gcp.write_tensor("huge.npz", gcp.SparseTensor([[0, 0]], [1], (2**20, 2**20)))
        np.save("row.npy", np.ones((1, 2**20)))
        error = error_of(capsys, "fit huge.npz --rank 1 --mask row.npy")
        assert "row.npy: gives a number for every cell, not for listed ones" in error
        assert "1,099,511,627,776 cells" in error


def test_bad_tables_name_the_line(folder, capsys):
    rows = [f"u{k},p{k},1" for k in range(1500)]
    Path("a.csv").write_text("\n".join(["user,page,count", *rows, "u7,p7,2"]) + "\n")
    line = "info a.csv --modes user,page --value count"
    assert "2,248,500 of the 2,250,000 cells" in error_of(capsys, line)
    assert "line 9 and line 1502 list the same cell (" in error_of(
        capsys, f"{line} --unlisted zero --aggregate error"
    )
    assert run_json(capsys, f"{line} --unlisted zero")["max"] == 3
