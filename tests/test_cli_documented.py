"""Options have the defaults and the help of the functions they are arguments of."""

import argparse
import inspect
import subprocess
import sys

import pytest

import gcp
from gcp.cli import _parser
from gcp.cli.documented import Documented


def example(a, n_parts: int = 3, unlisted="zero", tol=1e-9, path=None):
    """Do something.

    Parameters
    ----------
    a : array_like, shape (I, J)
    n_parts, other : int
        Number of parts, at least 1. The `best` is kept.
    unlisted : {"zero", "missing"}
        What 100% of the others are.
        Default: "zero" for some; others need the choice.
    tol : float

        Least gain, e.g. ``tol=1``.
    path

    Returns
    -------
    b : int
        Not a parameter.
    """


@pytest.fixture
def documented():
    return Documented(example)


def test_descriptions(documented):
    assert documented.text("a") == ""
    assert documented.text("n_parts") == "number of parts, at least 1. The best is kept"
    assert documented.text("n_parts", 1) == "number of parts, at least 1"
    assert documented.text("unlisted") == "what 100% of the others are"
    assert documented.text("tol") == "least gain, e.g. tol=1"
    assert documented.text("b") == ""


def test_options(documented, capsys):
    parser = argparse.ArgumentParser()
    documented.add(parser, "--parts", "n_parts", type=int, sentences=1)
    documented.add(parser, "--unlisted")
    documented.add(parser, "--tol", default="small")
    documented.add(parser, "--path", help="a file")
    assert vars(parser.parse_args([])) == {"parts": 3, "unlisted": "zero", "tol": 1e-9, "path": None}
    shown = " ".join(parser.format_help().split())
    assert "--parts PARTS number of parts, at least 1 (default: 3)" in shown
    assert 'what 100% of the others are (default: "zero" for some; others need the choice)' in shown
    assert "least gain, e.g. tol=1 (default: small)" in shown
    assert shown.endswith("--path PATH a file")
    with pytest.raises(SystemExit):
        parser.parse_args(["--unlisted", "one"])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "function", "names"),
    [
        (
            "fit x.npy --rank 2",
            gcp.fit_gcp,
            {"starts": "n_starts", "seed": "random_state", "threads": "n_threads", "max_iter": "n_iter_max"},
        ),
        (
            "rank x.npy --ranks 2",
            gcp.select_rank,
            {
                "splits": "n_splits",
                "test_fraction": "fraction",
                "starts": "n_starts",
                "seed": "random_state",
                "jobs": "n_jobs",
            },
        ),
        ("info x.npy", gcp.read_tensor, {}),
    ],
)
def test_what_is_not_given_is_as_in_python(command, function, names):
    parameters = inspect.signature(function).parameters
    found = vars(_parser().parse_args(command.split()))
    shared = {option: names.get(option, option) for option in found}
    shared = {option: name for option, name in shared.items() if name in parameters}
    for option in shared.keys() - {"rank", "ranks", "header", "main_effects"}:
        assert found[option] == parameters[shared[option]].default, option
    assert names.keys() <= shared.keys()


def test_help_without_docstrings():
    """`python -OO` removes them."""
    line = [sys.executable, "-OO", "-c", "from gcp.cli import main; main(['rank', '--help'])"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "(default: 0.1)" in done.stdout
