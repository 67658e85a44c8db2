"""A word to who waits while Numba compiles."""

import logging

from numba import njit

from gcp.base import notes
from gcp.kernels.shared import compilation


def test_once_and_only_if_compiling_takes_long(caplog, monkeypatch):
    told = lambda: [record.getMessage() for record in caplog.records]  # noqa: E731
    function = njit(lambda x: x + 3)
    monkeypatch.setattr(compilation, "_PATIENCE", 60.0)
    with compilation.explained():
        function(1.0)
    assert told() == []
    monkeypatch.setattr(compilation, "_PATIENCE", 0.0)
    with compilation.explained():
        function(1.0)  # is compiled
    assert told() == []
    with compilation.explained():
        function(1)
        function(True)
    assert told() == [compilation.NOTE]
    njit(lambda x: x + 4)(1.0)
    with notes.silence(), compilation.explained():
        njit(lambda x: x + 5)(1.0)
    assert [(record.name, record.levelno) for record in caplog.records] == [("gcp", logging.WARNING)]
