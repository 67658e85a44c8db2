"""Progress on stderr: lines at most every few seconds, the last of each start among them; a bar on a terminal."""

import io
from dataclasses import replace

import numpy as np
import pytest

from gcp.solvers import progress
from gcp.solvers.outcome import IterationState


@pytest.fixture
def state():
    return IterationState(0, 1.5, 2e-3, 0.1, [np.ones((2, 1))], n_eval=1)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_of_a_fit(state, clock, capsys):
    with progress.reporter(True, 2) as report:
        for seconds, start, iteration in (
            (0, 0, 0),
            (1, 0, 1),
            (1.9, 0, 2),
            (2, 0, 3),
            (2.1, 0, 4),
            (2.2, 1, 0),
            (2.3, 1, 1),
        ):
            clock[0] = seconds
            report.update(replace(state, start=start, iteration=iteration))
    found = [line.split("  objective")[0] for line in capsys.readouterr().err.splitlines()]
    assert found == [f"start {s}/2  iteration    {k}" for s, k in ((1, 0), (1, 3), (1, 4), (2, 1))]


def test_lines_of_a_series(clock, capsys):
    with progress.series(True, 3) as report:
        for word in "abc":
            report.done(word)
    assert capsys.readouterr().err.splitlines() == ["1/3  a", "2/3  b", "3/3  c"]


def test_nothing_unless_asked_for(state, capsys):
    with progress.reporter(False, 1) as report:
        report.update(state)
    with progress.series(False, 1) as report:
        report.done("a")
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(state, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for n_starts, words in ((1, "iteration    7  objective 1.5"), (2, "start 2/2  iteration    7")):
        with progress.reporter(True, n_starts) as report:
            report.update(replace(state, start=n_starts - 1, iteration=7))
            assert report._bar.tasks[0].completed == n_starts - 1
        assert words in terminal.getvalue()
    with progress.series(True, 3) as report:
        report.done("first")
    assert "1/3" in terminal.getvalue()
    assert "first" in terminal.getvalue()


@pytest.mark.parametrize("has_widgets", [True, False])
def test_a_notebook_has_a_bar_if_it_has_widgets(has_widgets, monkeypatch, capsys):
    """In lines elsewhere; rich would warn at every step. What a bar looks like there, `test_notebook.py` sees."""
    import sys
    import types

    import rich.console

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr(progress, "find_spec", lambda name: object() if has_widgets else None)
    assert progress._shows_bars() == has_widgets
    if not has_widgets:
        with progress.series(True, 1) as report:
            report.done("a")
        assert capsys.readouterr().err == "1/1  a\n"
