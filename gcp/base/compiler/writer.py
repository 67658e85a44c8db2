"""The text that LLVM reads: modules of functions, and their instructions.

Every name that a function assigns more than once is a place in memory; LLVM turns these into registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gcp.base.compiler.values import Number, flat, rebuilt


class Module:
    """Functions that are compiled together."""

    def __init__(self) -> None:
        self.functions: dict[Any, tuple[str, Any]] = {}
        self._texts: list[str] = []
        self._declared: set[str] = set()

    def declare(self, declaration: str) -> None:
        """Let functions call one that is elsewhere."""
        self._declared.add(f"declare {declaration}")

    def add(self, text: str) -> None:
        """Add a function's text."""
        self._texts.append(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self._texts, *sorted(self._declared), ""])


class Writer:
    """The text of a function that is being written: instructions, blocks, and places in memory.

    Attributes
    ----------
    flags : str
        LLVM's liberties with floating-point arithmetic, at this moment.
    is_open : bool
        Whether what is written next can be reached.
    """

    def __init__(self, module: Module) -> None:
        self.module, self.flags, self.is_open = module, "", True
        self.first_lines: list[str] = []
        self.lines: list[str] = []
        self._n = 0

    def new(self, prefix: str = "v") -> str:
        """Return a name that nothing has."""
        self._n += 1
        return f"{prefix}{self._n}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        if self.is_open:
            self.lines.append(f"  {text}")

    def get(self, text: str) -> str:
        """Write an instruction, and return the name of its result."""
        name = f"%{self.new()}"
        self.do(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Begin a block."""
        if self.is_open:
            self.do(f"br label %{name}")
        self.lines.append(f"{name}:")
        self.is_open = True

    def go(self, name: str) -> None:
        """Go on at another block."""
        self.do(f"br label %{name}")
        self.is_open = False

    def branch(self, condition: Number, yes: str, no: str) -> None:
        """Go on at one of two blocks."""
        self.do(f"br i1 {condition.text}, label %{yes}, label %{no}")
        self.is_open = False

    def room(self, llvm: str) -> str:
        """Return the address of a place for something of LLVM's type."""
        name = f"%{self.new('p')}"
        self.first_lines.append(f"  {name} = alloca {llvm}")
        return name

    def places(self, value: Any) -> list[str]:
        """Return places for all that a settled value holds."""
        return [self.room(llvm) for llvm, _ in flat(value)]

    def keep(self, places: Sequence[str], value: Any) -> None:
        """Write a settled value to its places."""
        for place, (llvm, text) in zip(places, flat(value), strict=True):
            self.do(f"store {llvm} {text}, ptr {place}")

    def kept(self, places: Sequence[str], value: Any) -> Any:
        """Return what is at the places of a value of this form."""
        pairs = zip(places, flat(value), strict=True)
        return rebuilt(value, iter([self.get(f"load {llvm}, ptr {place}") for place, (llvm, _) in pairs]))
