"""Parameters without the freedom of scaling, and estimates of them without their first-order bias."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.analysis.joint_likelihood import AnyLikelihood
from gcp.base.types import Array, FloatArray

_NULL = 1e-10
"""Eigenvalues of the information, in the largest, below which nothing is known."""

_ESTIMABLE = 1e-3
"""Share of a gradient along directions without information, from which on its function is not determined."""

_STEPS = 60
_STALLED = 10
"""Steps within which the square of their length halves, else the way leads nowhere."""

_SETTLED = 0.02
"""Length of the last step, in standard errors."""


class FixedScale(NamedTuple):
    """A linear set of parameters about the fitted ones that crosses each set of equal models once.

    Attributes
    ----------
    basis : ndarray, shape (P, Q)
        Its directions.
    null : ndarray, shape (P, K)
        Directions in which the entries of the model stay.
    known : ndarray of bool, shape (P,)
        Parameters that are free and meet data.
    """

    basis: FloatArray
    null: FloatArray
    known: Array

    @classmethod
    def of(cls, information: FloatArray, free: Array) -> FixedScale:
        """Return the complement of the directions without information (P, P), parameters in units of their own.

        `free` has the shape (P,).
        """
        from scipy.linalg import eigh

        known = free & (np.diag(information) > 0)
        part = information[np.ix_(known, known)]
        size = np.sqrt(np.diag(part))
        values, vectors = eigh(part / np.outer(size, size)) if size.size else (size, part)
        good = values > _NULL * values.max(initial=0.0)
        whole = np.zeros((len(known), len(values)))
        whole[known] = vectors / size[:, None]
        return cls(whole[:, good], whole[:, ~good], known)

    def covariance(self, information: FloatArray) -> FloatArray | None:
        """Return the inverse of the information within the section, shape (P, P); None if there is none."""
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        try:
            factor = cho_factor(self.basis.T @ information @ self.basis)
        except (LinAlgError, ValueError):
            return None
        return self.basis @ cho_solve(factor, self.basis.T)

    def determines(self, at: Array, gradients: FloatArray) -> Array:
        """Return whether functions of the parameters at some places agree in all models of equal entries, shape (n,).

        Their gradients there, shape (n, places), tell it.
        """
        if not self.null.size:
            return np.ones(len(gradients), bool)
        moved = np.linalg.norm(gradients @ self.null[at], axis=1)
        return moved <= _ESTIMABLE * np.linalg.norm(gradients @ self.basis[at], axis=1)


def bias_reduced(
    likelihood: AnyLikelihood, section: FixedScale, theta: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return parameters (P,) without the bias of the likelihood as a function of entries, and a covariance (P, P).

    The root of the score, less what it is at the estimate (nothing at a maximum, a penalty's part else), less the
    information times the bias; bounds hold nothing on the way. None if it does not end.

    References
    ----------
    I. Kosmidis, D. Firth: Bias reduction in exponential family nonlinear models, Biometrika 96 (2009) 793-804.
    """
    offset = np.where(likelihood.layout.bound, 0.0, likelihood.score(theta))
    lengths: list[float] = []
    for _ in range(_STEPS):
        covariance = section.covariance(likelihood.information(theta))
        if covariance is None:
            return None
        score = likelihood.score(theta) - offset - likelihood.biases(theta, covariance)[0]
        step = covariance @ score
        length = float(score @ step)
        lengths.append(length)
        stalls = len(lengths) > _STALLED and length > 0.5 * lengths[-1 - _STALLED]
        if stalls or not np.isfinite(length):
            return None
        if length <= _SETTLED**2:
            return theta, covariance
        step *= _share(likelihood, theta, step)
        while likelihood.is_near_bound(theta, theta + step):
            step *= 0.5
        theta = theta + step
    return None


def _share(likelihood: AnyLikelihood, theta: FloatArray, step: FloatArray) -> float:
    """Return the share of a step (P,) that is taken from theta (P,).

    No entry of the model more than doubles, or halves if it is positive; nor r.
    """
    most = 0.5 if likelihood.is_nonnegative else 1.0
    share = min(1.0, most / max(likelihood.change(theta, step), 1e-300))
    r = likelihood.layout.r
    return share if r is None or step[r] >= 0 else min(share, -0.5 * theta[r] / step[r])
