"""Models with designs: the coefficients behind a factor, and the rows of positions that the fit has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from gcp.base.alignment import Side, positions_of
from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray
from gcp.objectives.designs.base import Basis
from gcp.objectives.designs.given_designs import matrix_of
from gcp.objectives.designs.linear_maps import Undetermined, nearest

Model = TypeVar("Model")
"""`objectives.model.Model`, which has methods that call these functions."""

_ROUNDING = 1e-12
"""Coefficients below this, in the largest of their column, are those that bounds hold at 0."""


def coefficients_of(model: Any) -> dict[str, FloatArray]:
    """Return, by the mode's name, C (K, R) of every design: Z C is the factor, with its scale, order and signs."""
    found = {}
    for mode, basis in model.problem.designs:
        c = nearest(*_seen(model, mode, basis))
        c[np.abs(c) < _ROUNDING * np.abs(c).max(axis=0)] = 0.0
        found[model.labels.names[mode]] = c
    return found


def rows_of_labels(model: Any, mode: int, labels: Array) -> FloatArray:
    """Return rows (n, R) of a mode's factor, which has a design, for positions with these labels (n,)."""
    return _rows(model, mode, basis_of(model, mode).of_labels(labels, model.labels.names[mode]))


def basis_of(model: Any, mode: int) -> Basis:
    """Return the basis of a mode; `ParameterError` if it has no design."""
    basis = dict(model.problem.designs).get(mode)
    if basis is None:
        raise ParameterError(
            f"The mode {model.labels.names[mode]!r} has no design, which says what new positions are like: fit with "
            "design={...}, or fit new positions to data of theirs by transform."
        )
    return basis


def at_coordinates(model: Model, coordinates: Mapping[Any, Any]) -> Model:
    """Return the model at new positions of modes with designs, and at some labels of others; see `predict_at`."""
    if not isinstance(coordinates, Mapping) or not coordinates:
        raise ParameterError(
            f'predict_at needs coordinates by mode, such as {{"week": [53, 54]}}: found {show(coordinates)}.'
        )
    own: Any = model
    designs, factors, labels = dict(own.problem.designs), list(own.factors), own.labels
    unknown, effects, coords = dict(own.unknown), dict(own.main_effects), list(labels.coords)
    seen, whole, loss = set(), own.with_mean_rows(), own.loss
    by = None if loss.by is None else labels.number(loss.by)
    for mode, given in coordinates.items():
        n = labels.number(mode)
        name = labels.names[n]
        if n in seen:
            raise ParameterError(f"predict_at names mode {name!r} twice.")
        seen.add(n)
        if n in designs:
            if n == by:
                raise ParameterError(
                    f"The loss has one {loss.parameter_by} for each position of {name!r}, and new positions have "
                    "none: leave this mode out of the coordinates, or fit without by=...."
                )
            new, coords[n] = basis_of(own, n).of_coordinates(given, name)
            factors[n] = _rows(own, n, new)
        else:
            side = Side("the model", labels, own.shape)
            at = positions_of(np.atleast_1d(np.asarray(given)), side, n, f"coordinates of {name!r}")
            factors[n], coords[n] = whole.factors[n][at], labels.values(n, own.shape[n])[at]
            if name in effects:
                effects[name] = effects[name][at]
            if n == by:
                loss = loss.taken({str(loss.by): at})
        unknown.pop(name, None)
    found: Model = replace(
        own,
        loss=loss,
        factors=factors,
        fitted_factors=[],
        row_bounds=[],
        unknown=unknown,
        main_effects=effects,
        labels=replace(labels, coords=tuple(coords)),
    )
    return found


def _rows(model: Any, mode: int, new: Any) -> FloatArray:
    """Return rows (n, R) of a factor for rows of its design (n, K); mean rows where the fit knows nothing of them."""
    z, a = _seen(model, mode, basis_of(model, mode))
    rows = np.asarray(new @ nearest(z, a), dtype=a.dtype)
    rows[Undetermined.by(z).touches(new)] = a.mean(axis=0)
    return rows


def _seen(model: Any, mode: int, basis: Basis) -> tuple[Any, FloatArray]:
    """Return the rows of the design and of the factor, (n, K) and (n, R), that something determines."""
    z, a = matrix_of(basis, model.labels, mode, model.shape[mode]), model.factors[mode]
    if (at := model.unknown.get(model.labels.names[mode])) is None:
        return z, a
    keep = np.ones(len(a), bool)
    keep[at] = False
    return z[keep], a[keep]
