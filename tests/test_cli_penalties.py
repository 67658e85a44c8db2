"""Penalties of one mode on the command line, against the same fits from Python."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp.cli import main
from gcp.penalties import Graph, Lasso, Near, Ridge, Smooth


@pytest.fixture
def counts(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    x = rng.poisson(full(random_factors((9, 8, 7), 2, rng, positive=True))).astype(float)
    np.save("x.npy", x)
    return x


def test_fits_are_those_of_python(counts, capsys):
    line = "fit x.npy --loss poisson --rank 2 --seed 0 --json --quiet --smooth 0=20:order=1:cyclic"
    assert main([*line.split(), "--ridge", "1=2", "--smooth", "mode_2=3", "--lasso", "1=0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    given = [Smooth(0, 20.0, 1, True), Smooth("mode_2", 3.0), Ridge(1, 2.0), Lasso(1, 0.5)]
    expected = gcp.fit_gcp(counts, 2, loss="poisson", penalties=given, random_state=0)
    assert_allclose(found["objective"], expected.objective, rtol=1e-10)


def test_ranks_choose_among_strengths(counts, capsys):
    line = (
        "rank x.npy --loss poisson --ranks 1 --splits 1 --seed 0 --json --quiet --smooth 0=0,50 --ridge 1=2"
    )
    assert main(line.split()) == 0
    found = json.loads(capsys.readouterr().out)
    given = [[Ridge(1, 2.0)], [Smooth(0, 50.0), Ridge(1, 2.0)]]
    expected = gcp.select_rank(counts, [1], "poisson", penalties=given, n_splits=1, random_state=0)
    assert [row["loss"] for row in found["table"]] == [row.loss for row in expected.table]
    assert [row["penalties"] for row in found["table"]] == [
        list(map(repr, row.penalties)) for row in expected.table
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--smooth week=1", "--smooth: there is no mode 'week': expected names (mode_0, mode_1, mode_2)"),
        ("--smooth 0", "expected MODE=NUMBER"),
        ("--smooth 0=-1", "expected MODE=NUMBER"),
        ("--smooth 0=nan", "expected MODE=NUMBER"),
        ("--smooth 0=1:circle", "expected :order=N or :cyclic after the strength, found 'circle'"),
        ("--ridge 0=1:cyclic", "expected MODE=NUMBER"),
        ("--ridge 0=1,2", "take one strength each; gcp rank chooses among several"),
        ("--lasso 0=1 --loss gaussian", "is for a nonnegative factor: use --lower 0"),
    ],
)
def test_what_is_wrong_is_said(option, message, counts, capsys):
    line = ["fit", "x.npy", "--loss", "poisson", "--rank", "1", "--quiet", *option.split()]
    try:
        status = main(line)
    except SystemExit as end:  # argparse's
        status = end.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_other_processes_read_results_with_penalties(counts):
    penalties = [Smooth(0, 2.0), Lasso(1, 0.1), Ridge(2, 1.0), Near(1, np.ones((8, 1)), 0.5)]
    penalties.append(Graph(2, np.eye(7)[::-1], 0.5))
    result = gcp.fit_gcp(counts, 1, loss="poisson", penalties=penalties, random_state=0)
    result.save("x_result.npz")
    code = "import gcp; print(gcp.load('x_result.npz'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_links_and_shapes_come_from_files(counts, capsys):
    rows = [["from", "to", "alike"], ["3", "0", "2.5"], ["1", "8", "1"], ["0", "1", "0.5"]]
    Path("links.csv").write_text("\n".join(map(",".join, rows)))
    Path("shapes.csv").write_text("at,first\n" + "\n".join(f"{k},{k + 1}" for k in (7, 1, 2, 3, 5, 0)))
    line = "fit x.npy --loss poisson --rank 2 --seed 0 --json --quiet --graph 0=20:links.csv --near 1=30:shapes.csv"
    assert main(line.split()) == 0
    w = np.zeros((9, 9))
    for i, j, similarity in ((3, 0, 2.5), (1, 8, 1.0), (0, 1, 0.5)):
        w[i, j] = w[j, i] = similarity
    centre = np.array([1.0, 2, 3, 4, np.nan, 6, np.nan, 8])
    given = [Graph(0, w, 20.0), Near(1, centre, 30.0)]
    expected = gcp.fit_gcp(counts, 2, loss="poisson", penalties=given, random_state=0)
    found = json.loads(capsys.readouterr().out)
    assert_allclose(found["objective"], expected.objective, rtol=1e-10)
    plain = gcp.fit_gcp(counts, 2, loss="poisson", random_state=0)
    assert expected.objective > plain.objective + 1


def test_links_without_numbers_are_as_alike_as_1(counts, capsys):
    Path("links.csv").write_text("a,b\n0,1\n2,5\n")
    line = "fit x.npy --loss poisson --rank 1 --seed 0 --json --quiet --graph 0=9:links.csv"
    assert main(line.split()) == 0
    w = np.zeros((9, 9))
    w[[0, 1, 2, 5], [1, 0, 5, 2]] = 1.0
    expected = gcp.fit_gcp(counts, 1, loss="poisson", penalties=[Graph(0, w, 9.0)], random_state=0)
    assert_allclose(json.loads(capsys.readouterr().out)["objective"], expected.objective, rtol=1e-10)


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--graph 0=1", "", "expected MODE=NUMBER:FILE.csv"),
        ("--graph 0=1:none.csv", "", "none.csv: cannot be read"),
        ("--graph 0=1:own.csv", "a,b,w\n0,1,x\n", "'x' in row 2 is no number"),
        ("--graph 0=1:own.csv", "a,b,w\n0,1,1\n1,0,2\n", "own.csv: the link of 0 and 1 stands there twice"),
        ("--graph 0=1:own.csv", "a,b\n0,9\n", "own.csv"),
        ("--graph 0=1:own.csv", "a,b,w,v\n0,1,1,1\n", "expected two columns of labels, and one of numbers"),
        ("--near 0=1:own.csv", "a,w\n0,1\n0,2\n", "own.csv: two lines have one label"),
    ],
)
def test_what_is_wrong_in_files_is_said(option, text, message, counts, capsys):
    Path("own.csv").write_text(text)
    try:
        status = main(["fit", "x.npy", "--loss", "poisson", "--rank", "1", "--quiet", *option.split()])
    except SystemExit as end:  # argparse's
        status = end.code
    assert status == 2
    assert message in capsys.readouterr().err
