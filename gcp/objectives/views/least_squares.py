"""What an objective that is a sum of squares offers to solvers beside its value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.total import Penalties


@dataclass(frozen=True)
class LeastSquares:
    """F = sum of squares of (data - model) + penalties that are quadratic in each factor and apart for each row.

    Attributes
    ----------
    norm2 : float
        Sum of squares of the data.
    penalties : Penalties
    groups : tuple of tuple of int
        All modes, in groups whose products with the other modes come from one pass over the data.
    contract : callable
        ``contract(group, factors, out)`` writes the data times the factors of all modes outside a group to a float64
        array (R, product of the group's sizes), the group's last mode fastest. It reads no factor of the group.
    free : tuple of int
        The mode of each variable.
    template : sequence of ndarray, shapes (I_n, R)
        The factors of all modes; those of free modes mean nothing.
    """

    norm2: float
    penalties: Penalties
    groups: tuple[tuple[int, ...], ...]
    contract: Callable[[tuple[int, ...], Factors, FloatArray], None]
    free: tuple[int, ...]
    template: Factors = ()

    def expand(self, variables: Factors) -> list[FloatArray]:
        """Return the factors of all modes, shapes (I_n, R)."""
        given = dict(zip(self.free, variables, strict=True))
        return [given[n] if n in given else self.template[n] for n in range(sum(map(len, self.groups)))]
