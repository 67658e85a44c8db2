"""A word to who waits for the compiler."""

import logging

from gcp.base import notes
from gcp.base.compiler.jit import jit_closure
from gcp.kernels.shared import compilation


def fresh(function):
    """Compiled anew in each process."""
    return jit_closure(function, "", fastmath=())


def test_once_and_only_if_compiling_takes_long(caplog, monkeypatch):
    told = lambda: [record.getMessage() for record in caplog.records]  # noqa: E731
    function = fresh(lambda x: x + 3)
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
    fresh(lambda x: x + 4)(1.0)
    with notes.silence(), compilation.explained():
        fresh(lambda x: x + 5)(1.0)
    assert [(record.name, record.levelno) for record in caplog.records] == [("gcp", logging.WARNING)]
