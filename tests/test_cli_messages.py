"""What the command line says is in its own words: options, not arguments of Python."""

import re
import subprocess
import sys

import numpy as np
import pytest

from gcp.cli import main
from gcp.cli.messages import in_options

TABLES = {
    "listed.csv": "user,item,n\na,x,1\nb,y,2\n",
    "twice.csv": "user,item,n\na,x,1\na,x,2\n",
    "text.csv": "user,item,n\na,x,1\nb,y,one\n",
    "semicolons.csv": "user;item;n\na;x;1\nb;y;2\n",
    "wide.csv": "place,1990,1991,1992\na,1,2,3\nb,2,3,4\n",
    "fractions.csv": "a,b,n\n0.1,0.2,1\n0.5,0.3,2\n0.7,0.9,3\n",
    "rank": "",
}
WRONG = {
    "fit x.npy --rank 0": "--rank must be an integer >= 1: found 0.",
    "fit real.npy --rank 1 --loss poisson": "use --loss beta-divergence --param beta=1, the same",
    "fit real.npy --rank 1 --loss negative-binomial": "for other data use --loss gaussian or gamma.",
    "fit x.npy --rank 1 --l2-reg -1": "argument --l2-reg: expected a number >= 0, found '-1'",
    "fit x.npy --rank 1 --main-effects --l2-effects -2": "argument --l2-effects: expected a number >= 0",
    "fit x.npy --rank 1 --dirichlet-reg 1": "nonnegative factors: use --lower 0, or --weight-reg.",
    "fit x.npy --rank 1 --lower 3 --upper 1": "--lower/--upper of mode 0: lower 3 is above upper 1",
    "fit x.npy --rank 1 --entry-weights real.npy": "--entry-weights must be 0, or from 1e-100",
    "fit x.npy --rank 1 --solver als --loss poisson": "Use --solver auto.",
    "fit x.npy --rank 1 --init svd --starts 0": "argument --starts: expected a whole number >= 1",
    "fit x.npy --rank 1 --max-iter 1 --tol -1": "argument --tol: expected a number >= 0",
    "fit x.npy --rank 1 --memory much": "argument --memory: it must be a size such as",
    "fit x.npy --rank 1 --modes a,b": "--modes does not apply to this format",
    "fit x.npy --rank 1 --unlisted zero": "--unlisted does not apply to this format",
    "fit listed.csv --rank 1 --unlisted zero --variable a": "--variable does not apply to this format",
    "fit listed.csv --rank 1": "--unlisted zero (they are known to be 0, as when empty counts were left out) or "
    "--unlisted missing (",
    "info twice.csv --unlisted missing": "Choose --aggregate sum, mean or last, or",
    "info text.csv --unlisted zero": "If another column holds the values, name it with --value.",
    "info semicolons.csv --unlisted zero": "They seem to be separated by semicolons: --separator ';'.",
    "info listed.csv --unlisted zero --separator ab": "They seem to be separated by commas: --separator ,.",
    "info wide.csv": "e.g. --wide year; if the table has no header, say --no-header, and its columns are "
    "called 0, 1, ...; else name the columns to use with --modes and --value.",
    "info wide.csv --wide place": "--wide place: expected a name",
    "info fractions.csv --unlisted zero --value n": "are modes with --modes, or, if each column is a position of one "
    "mode, say what that mode is with --wide.",
    "info two.npz": "choose one with --variable.",
    "info rank": "rank: ",
    "rank x.npy --ranks 1 --jobs 0": "--jobs must be a whole number",
    "rank x.npy --ranks 1 --l2-reg=-1": "--l2-reg must be a finite number",
    "compile --loss fish": "--loss: found 'fish'",
    "compile --modes 0": "argument --modes: expected a whole number >= 1",
}
PYTHON = re.compile(
    r"\\b(\\w+_(reg|weights|effects|state|max)|n_\\w+|(unlisted|wide|loss|header|modes|value|solver|variable)=)"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.poisson(3.0, (5, 4, 3)))
    np.save("real.npy", rng.normal(size=(5, 4, 3)))
    np.savez("two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize("line", WRONG)
def test_errors_name_options(folder, capsys, line):
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert WRONG[line] in said
    assert not PYTHON.search(said)


@pytest.mark.parametrize(
    ("own", "line"),
    [
        ("the tol is unlisted=zero, too", ["fit", "own.csv", "--rank=1", "--unlisted", "zero"]),
        ("my tol.xyz", ["fit", "x.npy", "--rank=1", "--out", "my tol.xyz"]),
        ("no tol here/a.npz", ["fit", "x.npy", "--rank=1", "--out", "no tol here/a.npz"]),
        ("b random_state=3", ["info", "own.csv", "--modes", "nope", "--unlisted", "zero"]),
    ],
)
def test_what_the_user_wrote_stays(folder, capsys, own, line):
    with open("own.csv", "w") as file:
        file.write('a,b random_state=3,value\nx,y,1\nx,z,"the tol is unlisted=zero, too"\n')
    assert main(line) == 2
    assert own in capsys.readouterr().err


def test_why_a_fit_stopped(folder, capsys):
    line = "fit x.npy --rank 1 --seed 0 --max-iter 1 --loss poisson --checkpoint state.npz"
    assert main(line.split()) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "--max-iter iterations were used up; with a larger --max-iter, state.npz goes on from there" in said
    )


@pytest.mark.parametrize(
    "text",
    [
        "runs/n_starts=3/x.npy: there is no such file.",
        "There is no column 'random_state': the columns are ['n_starts', 'value'].",
        "n_starts.npz: has 3 modes.",
        "The rank of the data, and the value of each, are numbers: rank 3.",
        "other=1, gradient_tol=2 and r=3.0",
        "header=True, a table with rows=3",
    ],
)
def test_what_is_no_argument_stays(text):
    assert in_options(text, ["starts", "seed", "rank", "value", "tol", "loss", "param", "header"]) == text


@pytest.mark.parametrize("command", ["fit", "rank", "info", "convert", "compile", "anomalies"])
def test_so_does_the_help(capsys, command):
    assert main([command, "--help"]) == 0
    assert not PYTHON.search(capsys.readouterr().out)


def test_completion_in_a_shell(folder, capsys):
    pytest.importorskip("shtab")
    assert main(["--print-completion", "bash"]) == 0
    script = capsys.readouterr().out
    asked = {
        "gcp f": "fit forecast",
        "gcp fit x.npy --lo": "--loss --lower",
        "gcp fit x.npy --loss hub": "huber",
        "gcp info sem": "semicolons.csv",
    }
    for line in asked:
        words = line.split()
        script += f"\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shtab_gcp; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(asked.values())


def test_completion_without_shtab(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "zsh"]) == 2
    assert 'needs shtab: pip install "gcp-tensor[completion]"' in capsys.readouterr().err
