"""Curves of predictions that rank zeros and ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.base.types import FloatArray


class Curves(NamedTuple):
    """Rates by threshold, from the highest down; the first point has none above it.

    Attributes
    ----------
    false, recall, precision, thresholds : ndarray, shape (points,)
        False and true positive rate, precision, and the least prediction that counts as a one.
    """

    false: FloatArray
    recall: FloatArray
    precision: FloatArray
    thresholds: FloatArray

    @property
    def auc(self) -> float:
        """Area under the ROC curve: the probability that a one is put above a zero, ties counting half."""
        return float(np.trapezoid(self.recall, self.false))

    @property
    def average_precision(self) -> float:
        """Mean of the precision over the recalls at which ones are found."""
        return float(np.sum(np.diff(self.recall) * self.precision[1:]))


def curves(x: FloatArray, prediction: FloatArray, w: FloatArray) -> Curves:
    """Return the curves of data x, 0 and 1 and some of both, predictions and weights w, shapes (n,)."""
    ones, total = float(w @ x), float(w.sum())
    order = np.argsort(-prediction, kind="stable")
    last = np.append(np.diff(prediction[order]) != 0, True)  # of each group of equal predictions
    hits, taken = np.cumsum((w * x)[order])[last], np.cumsum(w[order])[last]
    return Curves(
        np.append(0.0, (taken - hits) / (total - ones)),
        np.append(0.0, hits / ones),
        np.append(1.0, hits / taken),
        np.append(np.inf, prediction[order][last]),
    )
