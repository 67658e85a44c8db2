"""Functions that translated functions may call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcp.base.compiler.source import remember


class Callee:
    """A function that compiled functions call.

    Parameters
    ----------
    python : callable
    flags : str
        LLVM's liberties with floating-point arithmetic, in its text.
    inline : bool
        Write it out where it is called; so must be what makes arrays for its caller.
    """

    def __init__(self, python: Callable[..., Any], flags: str = "", inline: bool = False) -> None:
        self.python, self.flags, self.inline = python, flags, inline
        remember(python)
        self.__name__, self.__qualname__ = python.__name__, python.__qualname__
        self.__module__, self.__doc__, self.__wrapped__ = python.__module__, python.__doc__, python

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run it as Python."""
        return self.python(*arguments, **named)


class Instruction:
    """What translated functions may call that is written for LLVM by hand.

    `build(code, *values)` returns the value; as Python it is `python`.
    """

    def __init__(self, python: Callable[..., Any], build: Callable[..., Any]) -> None:
        self.python, self.build = python, build
        self.__module__, self.__name__, self.__doc__ = build.__module__, build.__name__, build.__doc__

    def __call__(self, *arguments: Any) -> Any:
        """Run it as Python."""
        return self.python(*arguments)
