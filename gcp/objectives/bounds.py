"""Lower and upper bounds on factor entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from gcp.base.checks import array, floats, show
from gcp.base.errors import ParameterError
from gcp.base.interval import Interval
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import factor_by_name, library_of
from gcp.base.types import Array, Factors, FloatArray

Shapes = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Bounds:
    """Bounds of the factors, one lower and one upper one per entry; infinite where there is none.

    Attributes
    ----------
    lower, upper : tuple of ndarray, shapes (I_n, R)
    """

    lower: tuple[FloatArray, ...]
    upper: tuple[FloatArray, ...]

    def project(self, factors: Factors) -> list[FloatArray]:
        """Return the nearest factors within the bounds, shapes (I_n, R)."""
        return [np.clip(a, low, high) for a, low, high in zip(factors, self.lower, self.upper, strict=True)]

    @property
    def tell_components_apart(self) -> bool:
        """Whether not all components have the same bounds: then their order means something."""
        return any(bool(np.any(side != side[:, :1])) for side in (*self.lower, *self.upper))

    @property
    def hold_some_rows(self) -> bool:
        """Whether signs of columns of a mode are bounded in some rows only: then no sign of a column is free."""
        return any(bool(np.any(low >= 0) and np.any(low < 0)) for low in self.lower)

    def of_rows(self) -> list[FloatArray]:
        """Return for each mode an array (2, R): least lower and largest upper bound of the entries of a row."""
        pairs = zip(self.lower, self.upper, strict=True)
        return [np.stack([low.min(axis=0), high.max(axis=0)]) for low, high in pairs]

    def select(self, groups: Sequence[Sequence[int]]) -> Bounds:
        """Return bounds of the factors that groups of modes share: the strictest of each group."""
        lower = tuple(reduce(np.maximum, [self.lower[n] for n in group]) for group in groups)
        upper = tuple(reduce(np.minimum, [self.upper[n] for n in group]) for group in groups)
        for group, low, high in zip(groups, lower, upper, strict=True):
            if np.any(low > high):
                raise ParameterError(f"bounds of the tied modes {tuple(group)} exclude each other.")
        return Bounds(lower, upper)


def resolve(
    bounds: Any,
    shapes: Shapes,
    domain: Interval,
    loss_name: str,
    labels: ModeLabels | None = None,
    free: Mapping[int, Array] | None = None,
) -> Bounds:
    """Return bounds for every entry from what a user may give.

    Parameters
    ----------
    bounds : None, (lower, upper), dict of such pairs by mode, N of them, or (sequence of N, sequence of N)
        Each of `lower` and `upper` is None, a number or an array shaped like the factor; a DataFrame or DataArray is
        matched with the labels of the mode. None is the loss's own bound: 0 below where the model must not be
        negative, else none.
    shapes : sequence of (I_n, R)
        Shapes of the factors.
    domain : Interval
        Where the loss admits model values.
    loss_name : str
        For messages.
    labels : ModeLabels, optional
        Of the data.
    free : dict of int to ndarray of bool, shape (I_n,), optional
        By mode, positions whose rows may have any sign whatever the domain: models of others alone must lie in it.

    Raises
    ------
    ParameterError
        Wrong number or shape, other labels, NaN, lower above upper, or a lower bound that lets the model leave its
        domain.
    """
    labels = labels or ModeLabels.default([size for size, _ in shapes])
    lows, highs = _by_mode(bounds, labels) if isinstance(bounds, Mapping) else _sides(bounds, shapes)
    floors = _floors(domain, shapes, free or {})
    lows, highs = (
        [factor_by_name("bounds", b, s, labels, n) for n, (b, s) in enumerate(zip(side, shapes, strict=True))]
        for side in (lows, highs)
    )
    lower = tuple(_fill(b, s, floors[n], n) for n, (b, s) in enumerate(zip(lows, shapes, strict=True)))
    upper = tuple(_fill(b, s, np.inf, n) for n, (b, s) in enumerate(zip(highs, shapes, strict=True)))
    for n, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if np.any(low > high):
            where = tuple(int(i) for i in np.argwhere(low > high)[0])
            raise ParameterError(
                f"bounds of mode {n}: lower {low[where]:g} is above upper {high[where]:g} at entry {where}."
            )
        if np.any(low < floors[n]):
            raise ParameterError(
                f"bounds of mode {n}: lower bound {low.min():g}, but the {loss_name} loss needs a model >= 0, "
                "which nonnegative factors guarantee. Use lower >= 0 or a loss with a log or logit link."
            )
    return Bounds(lower, upper)


def _floors(domain: Interval, shapes: Shapes, free: Mapping[int, Array]) -> list[Any]:
    """Return the least bound of each mode's entries, a number or of shape (I_n, 1)."""
    floor = 0.0 if domain.low >= 0 else -np.inf
    return [np.where(free[n], -np.inf, floor)[:, None] if n in free else floor for n in range(len(shapes))]


def _sides(bounds: Any, shapes: Shapes) -> tuple[list[Any], list[Any]]:
    """Return the lower and the upper bound of each mode, as given."""
    ndim = len(shapes)
    if bounds is None:
        return [None] * ndim, [None] * ndim
    if not isinstance(bounds, Sequence) or isinstance(bounds, str):
        raise ParameterError(
            f"bounds must be (lower, upper), a dict of such pairs by mode, or one per mode: found {show(bounds)}."
        )
    pairs = [b if b is not None else (None, None) for b in bounds]
    if len(pairs) == ndim and all(_is_list(p) and len(p) == 2 for p in pairs):
        fits = all(_fits(side, shape) for pair, shape in zip(pairs, shapes, strict=True) for side in pair)
        if fits or ndim != 2:
            return [p[0] for p in pairs], [p[1] for p in pairs]
    if len(bounds) == 2:
        lower, upper = bounds
        return _spread(lower, ndim), _spread(upper, ndim)
    raise ParameterError(
        f"bounds has {len(bounds)} items: expected (lower, upper) or {ndim} pairs, one per mode."
    )


def _by_mode(bounds: Mapping[Any, Any], labels: ModeLabels) -> tuple[list[Any], list[Any]]:
    """Return the lower and the upper bound of each mode, as given for some of them."""
    pairs: dict[int, Any] = {}
    for mode, pair in bounds.items():
        try:
            n = labels.number(mode)
        except ParameterError as error:
            raise ParameterError(f"bounds must be pairs by mode. {error}") from None
        if n in pairs:
            raise ParameterError(f"bounds names mode {labels.names[n]!r} twice: by name and by number.")
        if pair is not None and not (_is_list(pair) and len(pair) == 2):
            raise ParameterError(f"bounds of mode {mode!r} must be (lower, upper): found {show(pair)}.")
        pairs[n] = pair or (None, None)
    every = [pairs.get(n, (None, None)) for n in range(len(labels.names))]
    return [pair[0] for pair in every], [pair[1] for pair in every]


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple | list)


def _fits(side: Any, shape: tuple[int, int]) -> bool:
    return (
        side is None or library_of(side) in ("pandas", "xarray") or array("bounds", side).shape in ((), shape)
    )


def _spread(side: Any, ndim: int) -> list[Any]:
    if not _is_list(side):
        return [side] * ndim
    if len(side) != ndim:
        raise ParameterError(f"bounds: {len(side)} arrays on one side, but the data have {ndim} modes.")
    return list(side)


def _fill(side: Any, shape: tuple[int, int], default: Any, mode: int) -> Array:
    """Return the bounds of one side as an array of the factor's shape, (I_n, R), not to be written to."""
    if side is None:
        return np.broadcast_to(default, shape)
    found = floats(f"bounds of mode {mode}", side)
    if found.shape not in ((), shape):
        raise ParameterError(
            f"bounds of mode {mode} have shape {found.shape}: expected a number or the factor's shape, {shape}."
        )
    if np.isnan(found).any():
        raise ParameterError(f"bounds of mode {mode} hold NaN; use None or an infinity for no bound.")
    return np.broadcast_to(found.copy(), shape)
