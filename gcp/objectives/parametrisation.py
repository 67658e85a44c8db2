"""The map of a solver's variables to the factors: fixed modes, modes that share a factor, linear maps.

All three are linear (and for fixed modes constant), so that a gradient comes back by the transposed map, whatever the
objective is.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base.alignment import check_tied
from gcp.base.checks import items, show
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Factors, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.designs.linear_maps import nearest


@dataclass(frozen=True)
class Parametrisation:
    """Variables, one for each group of modes that share it, and the factors A_n = Z_n C that they make.

    Attributes
    ----------
    ndim : int
        Number of modes.
    groups : tuple of tuple of int
        The modes of each variable; a mode in no group is fixed.
    maps : tuple of (int, array_like of shape (I_n, K_n))
        The modes that have a map, and Z_n, dense or sparse; the variable of others is the factor itself.
    """

    ndim: int
    groups: tuple[tuple[int, ...], ...]
    maps: tuple[tuple[int, Any], ...] = ()

    @classmethod
    def of(
        cls,
        fixed: Sequence[int | str],
        tied: Sequence[Sequence[int | str]],
        shape: tuple[int, ...],
        labels: ModeLabels | None = None,
    ) -> Parametrisation:
        """Return that of `fixed_modes` and `tied_modes` as users give them.

        Raises
        ------
        ParameterError
            Modes out of range or named twice, tied modes of different sizes or labels.
        """
        ndim, names = len(shape), labels or ModeLabels.default(shape)
        seen = set(modes_of("fixed_modes", fixed, names))
        groups = []
        for group in items("tied_modes", tied, "a list of groups of modes, e.g. [(0, 1)]"):
            modes = modes_of("tied_modes", group, names)
            _check_group(modes, shape, labels)
            if overlap := seen & set(modes):
                raise ParameterError(f"tied_modes: mode {min(overlap)} is fixed or in another group already.")
            seen |= set(modes)
            groups.append(tuple(modes))
        groups += [(n,) for n in range(ndim) if n not in seen]
        return cls(ndim, tuple(sorted(groups)))

    @property
    def fixed(self) -> tuple[int, ...]:
        """The modes whose factor stays as it is given."""
        free = {mode for group in self.groups for mode in group}
        return tuple(n for n in range(self.ndim) if n not in free)

    @property
    def tied(self) -> tuple[tuple[int, ...], ...]:
        """The groups of two modes or more."""
        return tuple(group for group in self.groups if len(group) > 1)

    @property
    def is_plain(self) -> bool:
        """Whether every free mode has a factor of its own, which is the variable itself."""
        return not (self.tied or self.maps)

    def map_of(self, mode: int) -> Any:
        """Return Z_n (I_n, K_n) of a mode; None if it has none."""
        return dict(self.maps).get(mode)

    def expand(self, variables: Factors, template: Factors) -> list[FloatArray]:
        """Return the factors of all modes, shapes (I_n, R); those of fixed modes are the template's."""
        factors, maps = list(template), dict(self.maps)
        for group, c in zip(self.groups, variables, strict=True):
            for mode in group:
                z = maps.get(mode)
                factors[mode] = c if z is None else np.asarray(z @ c, dtype=c.dtype)
        return factors

    def gather(self, vectors: Sequence[FloatArray]) -> list[FloatArray]:
        """Return the transpose of `expand` on one array (I_n, R) per mode: of a variable, the sum over its modes."""
        found, maps = [], dict(self.maps)
        for group in self.groups:
            parts = [_transposed(maps.get(mode), vectors[mode]) for mode in group]
            found.append(parts[0] if len(parts) == 1 else np.asarray(sum(parts[1:], parts[0])))
        return found

    def reduce(self, factors: Factors) -> list[FloatArray]:
        """Return the variables that make these factors, shapes (I_n, R), or with maps come nearest to them."""
        found, maps = [], dict(self.maps)
        for group in self.groups:
            a, z = factors[group[0]], maps.get(group[0])
            if z is not None:
                a = nearest(z, a).astype(a.dtype)
            found.append(a)
        return found

    def bounds(self, bounds: Bounds) -> Bounds:
        """Return the bounds of the variables that keep all factors within theirs.

        Raises
        ------
        ParameterError
            Bounds of tied modes that exclude each other, or bounds that a map cannot keep.
        """
        mapped = {mode: _bounds_of_variable(mode, z, bounds) for mode, z in self.maps}
        lower = [mapped[n].lower[0] if n in mapped else side for n, side in enumerate(bounds.lower)]
        upper = [mapped[n].upper[0] if n in mapped else side for n, side in enumerate(bounds.upper)]
        return Bounds(tuple(lower), tuple(upper)).select(self.groups)


def modes_of(name: str, given: Any, labels: ModeLabels) -> list[int]:
    """Return the numbers of modes as users give them, by numbers counted from 0, or from -1 backwards, or by names.

    Raises
    ------
    ParameterError
        Anything but different modes.
    """
    ndim = len(labels.names)
    try:
        every = [
            n if isinstance(n, str) else operator.index(n)
            for n in ([given] if isinstance(given, str) else given)
        ]
    except TypeError:
        raise ParameterError(f"{name} must hold mode numbers or names: found {show(given)}.") from None
    if unknown := [n for n in every if isinstance(n, str) and n not in labels.names]:
        known = ", ".join(labels.names)
        raise ParameterError(f"{name}: there is no mode {unknown[0]!r}; the modes are {known}.")
    modes = [labels.names.index(n) if isinstance(n, str) else n for n in every]
    if any(not -ndim <= n < ndim for n in modes) or len({n % ndim for n in modes}) != len(modes):
        raise ParameterError(f"{name}: found {every}, expected different modes from 0 to {ndim - 1}.")
    return [n % ndim for n in modes]


def _check_group(modes: list[int], shape: tuple[int, ...], labels: ModeLabels | None) -> None:
    """Raise unless modes can share a factor."""
    if len(modes) < 2:
        raise ParameterError(f"tied_modes: a group needs two modes or more, found {modes}.")
    if len({shape[n] for n in modes}) > 1:
        sizes = [shape[n] for n in modes]
        raise ParameterError(f"tied_modes: modes {modes} have different sizes {sizes}; they cannot share.")
    if labels is not None:
        check_tied(labels, modes)


def _transposed(z: Any, vectors: FloatArray) -> FloatArray:
    """Return Z' V of a map (I, K), and of V (I, R), which may be infinite at a point that a method tries."""
    if z is None:
        return vectors
    with np.errstate(all="ignore"):
        return np.asarray(z.T @ vectors, dtype=vectors.dtype)


def _bounds_of_variable(mode: int, z: Any, bounds: Bounds) -> Bounds:
    """Return bounds of C that keep Z C within bounds, one lower and one upper number a column.

    Of nonnegative rows those at 0 do, and if rows are averages (their sum is 1) any others.
    """
    low, high = bounds.lower[mode], bounds.upper[mode]
    shape = (z.shape[1], low.shape[1])
    if not is_bounded(bounds, mode):
        return Bounds((np.full(shape, -np.inf),), (np.full(shape, np.inf),))
    is_cone = np.isin(low, (0.0, -np.inf)).all() and np.isin(high, (0.0, np.inf)).all()
    same = np.array_equal(low, np.broadcast_to(low[:1], low.shape)) and np.array_equal(
        high, np.broadcast_to(high[:1], high.shape)
    )
    are_averages = bool(np.allclose(np.asarray(z.sum(axis=1)), 1.0, rtol=0.0, atol=1e-12))
    if not (same and z.min() >= 0 and (is_cone or are_averages)):
        raise ParameterError(
            f"design of mode {mode}: a design keeps bounds at 0 alone (others if each row sums to 1), the same for "
            "all positions, and only if none of its numbers is negative; losses of nonnegative models have such "
            "bounds. Take a loss whose model has any sign (a log or logit link), or a nonnegative design (bspline, "
            "monotone, groups)."
        )
    return Bounds((np.broadcast_to(low[0], shape).copy(),), (np.broadcast_to(high[0], shape).copy(),))


def is_bounded(bounds: Bounds, mode: int) -> bool:
    """Return whether any entry of a mode's factor has a finite bound."""
    return not (np.isneginf(bounds.lower[mode]).all() and np.isposinf(bounds.upper[mode]).all())
