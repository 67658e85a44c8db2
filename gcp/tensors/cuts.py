"""Where the parts of a tensor lie that is cut along one mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from gcp.base.types import Array, Factors, FloatArray


@dataclass(frozen=True)
class Cuts:
    """The cuts between the parts of a tensor.

    Attributes
    ----------
    mode : int
        The mode that is cut.
    sizes : tuple of int
        Positions of each part in this mode.
    """

    mode: int
    sizes: tuple[int, ...]

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """First position of each part, and the one past its last."""
        return list(pairwise([0, *accumulate(self.sizes)]))

    def split(self, arrays: Factors) -> tuple[list[FloatArray], list[list[FloatArray]]]:
        """Return arrays (I_n, ...) by mode as those that all parts share, and each part's own rows.

        Of no arrays these are none.
        """
        if not len(arrays):
            return [], [[] for _ in self.sizes]
        shared = [a for n, a in enumerate(arrays) if n != self.mode]
        return shared, [[arrays[self.mode][a:b]] for a, b in self.ranges]

    def joined(self, shared: list[FloatArray], own: Sequence[FloatArray]) -> list[FloatArray]:
        """Return the inverse of `split`, arrays (I_n, ...) by mode."""
        return [*shared[: self.mode], np.concatenate(list(own)), *shared[self.mode :]]

    def joined_known(self, parts: Sequence[Sequence[Array]]) -> list[Array]:
        """Return what the parts' `known_positions` say of the whole, masks (I_n,)."""
        merge = [np.concatenate if n == self.mode else np.logical_or.reduce for n in range(len(parts[0]))]
        return [join(column) for join, column in zip(merge, zip(*parts, strict=True), strict=True)]
