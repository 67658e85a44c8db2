"""The form in which results hold a model: unit-norm columns by falling weight, and positions without a row marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gcp.base.types import Array, Factors, FloatArray

if TYPE_CHECKING:
    from gcp.result import FitResult


def normalize(
    factors: Factors, *, keep_order: bool, fix_signs: bool
) -> tuple[FloatArray, list[FloatArray], Array]:
    """Weights and unit-norm factors, by falling weight unless the order is kept, and which column became which.

    Signs, if they are to be fixed: the largest entry of each column is made positive in every mode but the last.
    """
    norms = [np.linalg.norm(a, axis=0) for a in factors]
    weights = np.prod(norms, axis=0)
    order = np.arange(len(weights)) if keep_order else np.argsort(-weights, kind="stable")
    unit = [(a / np.where(norm > 0, norm, 1))[:, order] for a, norm in zip(factors, norms, strict=True)]
    for a in unit[:-1] if fix_signs else []:
        largest = np.argmax(np.abs(a), axis=0)
        sign = np.where(a[largest, np.arange(a.shape[1])] < 0, -1.0, 1.0).astype(a.dtype)
        a *= sign
        unit[-1] *= sign
    return weights[order], unit, order


def marked(result: FitResult, name: str, values: FloatArray) -> FloatArray:
    """One number or row for each position of a mode, with NaN at those that nothing determines."""
    if name not in result.unknown:
        return values
    found = values.copy()
    found[result.unknown[name]] = np.nan
    return found


def share_in_words(share: float, digits: int = 2) -> str:
    """A share of deviance in percent, or why there is none."""
    return (
        f"{share:.{digits}%}"
        if share == share
        else "undefined: the data are constant, the model is not perfect"
    )


def unknown_in_words(result: FitResult) -> str:
    """A sentence about the positions that nothing determines; empty if there is none."""
    if not result.unknown:
        return ""
    found = []
    for name, positions in result.unknown.items():
        n = result.labels.names.index(name)
        labels = result.labels.values(n, result.shape[n])
        few = ", ".join(str(labels[at]) for at in positions[:5])
        found.append(f"{positions.size} of {name} ({few}{', ...' if positions.size > 5 else ''})")
    return (
        f"Nothing is known of {'; '.join(found)}: their rows are no part of the components, and predictions for them "
        "are those of a mean row."
    )
