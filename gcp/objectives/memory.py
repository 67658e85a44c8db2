"""What a model remembers of the data that it was fitted to, for updates by new positions of a mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gcp.base.equality import is_same
from gcp.base.types import Array, FloatArray
from gcp.objectives.terms.expansion import Expansion

_PORTIONS = 8
"""Portions, about, that a window is made of: what is forgotten at once is at most one of them."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Second-order expansions of the objective of data that are gone, in the rows of all modes but the growing one.

    Attributes
    ----------
    mode : str
        Name of the mode that grows; empty if nothing is remembered.
    counts : tuple of int
        Positions of that mode that each portion is about, the oldest portion first.
    portions : tuple of dict of int to Expansion
        By the number of the mode; all portions are about the same rows.
    """

    mode: str = ""
    counts: tuple[int, ...] = ()
    portions: tuple[dict[int, Expansion], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.mode)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Memory):
            return NotImplemented
        own, others = self.arrays(), other.arrays()
        return (self.mode, self.counts) == (other.mode, other.counts) and is_same(own, others)

    __hash__ = None  # type: ignore[assignment]

    def total(self) -> dict[int, Expansion]:
        """Return the sum of all portions."""
        found: dict[int, Expansion] = {}
        for portion in self.portions:
            for n, own in portion.items():
                found[n] = found[n].plus(own) if n in found else own
        return found

    def extended(self, rows: Mapping[int, FloatArray]) -> Memory:
        """Return it with further rows (n, R) of some modes, of which nothing is remembered."""
        return self._each(lambda n, own: own.extended(rows[n]) if n in rows else own)

    def about(self, factors: Sequence[FloatArray]) -> Memory:
        """Return it about other rows: those of factors (I_n, R)."""
        return self._each(lambda n, own: own.about(factors[n]))

    def fading(self, new: int, half_life: float | None, window: int | None) -> Memory:
        """Return what is left of it after so many new positions."""
        faded = self if half_life is None else self._each(lambda _, own: own.times(0.5 ** (new / half_life)))
        if window is None:
            return faded
        after = new + np.cumsum([0, *faded.counts[:0:-1]])[::-1]  # positions that came after each portion
        keep = np.flatnonzero(after < window)
        counts = tuple(faded.counts[k] for k in keep)
        return replace(faded, counts=counts, portions=tuple(faded.portions[k] for k in keep))

    def with_portion(self, count: int, portion: dict[int, Expansion], window: int | None) -> Memory:
        """Return it with what is to be remembered of so many new positions.

        Within a window it is a portion of its own unless the last one is too small to be one; else there is one
        portion.
        """
        largest = np.inf if window is None else window / _PORTIONS
        if self.counts and self.counts[-1] + count <= largest:
            last = {n: own.plus(portion[n]) for n, own in self.portions[-1].items()}
            found = (*self.counts[:-1], self.counts[-1] + count), (*self.portions[:-1], last)
        else:
            found = (*self.counts, count), (*self.portions, portion)
        return replace(self, counts=found[0], portions=found[1])

    # --- in files ----------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Return arrays by name, from which `of_arrays` makes it again with the rows that it is about."""
        found: dict[str, Array] = {}
        for k, portion in enumerate(self.portions):
            for n, own in portion.items():
                found |= {
                    f"memory_{k}_{n}_gradient": own.gradient,
                    f"memory_{k}_{n}_curvature": own.curvature,
                }
        return found

    def as_json(self) -> dict[str, Any]:
        """Return the rest as JSON values."""
        return {
            "mode": self.mode,
            "counts": list(self.counts),
            "modes": list(self.portions[0]) if self else [],
        }

    @classmethod
    def of_arrays(cls, values: Mapping[str, Any], arrays: Any, factors: Sequence[FloatArray]) -> Memory:
        """Return what `as_json` and `arrays` told, about the rows of factors (I_n, R)."""
        counts, modes = tuple(map(int, values["counts"])), [int(n) for n in values["modes"]]
        portions = [
            {
                n: Expansion(
                    np.asarray(factors[n], dtype=float),
                    arrays[f"memory_{k}_{n}_gradient"],
                    arrays[f"memory_{k}_{n}_curvature"],
                )
                for n in modes
            }
            for k in range(len(counts))
        ]
        return cls(str(values["mode"]), counts, tuple(portions))

    def _each(self, change: Any) -> Memory:
        portions = tuple({n: change(n, own) for n, own in portion.items()} for portion in self.portions)
        return replace(self, portions=portions)
