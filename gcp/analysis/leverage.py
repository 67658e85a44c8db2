"""Leverage: how much of the variation of counts a fitted Poisson model takes along."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gcp.analysis.fixed_scale import FixedScale
from gcp.analysis.information import EntryRun, Likelihood
from gcp.analysis.observed_information import curvature_of_model
from gcp.analysis.parameter_layout import parameters
from gcp.base.types import FloatArray
from gcp.losses.poisson import PoissonLog
from gcp.objectives.dimension import Structure, dimension
from gcp.objectives.known_cells import KnownCells
from gcp.result import FitResult

_MOST_PARAMETERS = 1500
"""Parameters, at most, of the whole information; of more, each row of a factor is looked at by itself."""

_NULL = 1e-10
"""Eigenvalues of the information of a row, in the largest, that are none."""

_TINY = 1e-100

_FLAT = 0.1
"""Least curvature of the objective along a direction, in that of the information."""


class Leverages(NamedTuple):
    """Sums over cells; H = A G A' / mu turns a change of the counts into one of the fitted means, h is its diagonal.

    A has the derivatives of the means in the parameters; G is the inverse of the objective's second derivatives, for
    components that are hardly above the noise follow it by more than the information, A' diag(w / mu) A, says.

    Attributes
    ----------
    variation : float
        Sum of w h mu: by so much the squared residuals of Poisson counts are less than the counts.
    squares : float
        Expected sum of squared residuals of data with variance mu**2, but for what `variation` is to mu: sum of
        w mu**2 (1 - 2 h), and of w w' H**2 mu**2 over pairs of cells.
    """

    variation: float
    squares: float


def leverages(result: FitResult, cells: KnownCells, means2: float) -> Leverages:
    """Return the leverages of a Poisson model; `means2` is the sum of w mu**2 over all cells."""
    layout, theta = parameters(result)
    likelihood = Likelihood(cells, result.loss, 1.0, layout)
    if layout.size > _MOST_PARAMETERS:
        return _by_rows(likelihood, theta, means2, dimension(Structure.of(result)))
    from scipy.linalg import eigh

    information, plain, heavy, seen = likelihood.products(theta, partial(_weights, result.loss))
    basis = FixedScale.of(information, layout.free & ~layout.bound).basis
    root = basis / np.sqrt(np.sum(basis * (information @ basis), axis=0))  # root root' is the inverse
    inverse = root @ root.T
    own = inverse @ plain
    linear = float(np.trace(own))
    if not linear:
        return Leverages(0.0, means2)
    taken = 2 * float(np.sum(inverse * heavy)) - float(np.sum(own * own.T))
    curved = curvature_of_model(likelihood, theta) + seen - information
    beside, turn = eigh(root.T @ curved @ root)
    root = root @ (turn / np.sqrt(np.maximum(1 + beside, _FLAT)))  # now of the second derivatives
    variation = float(np.sum(root * (plain @ root)))
    return Leverages(variation, means2 - taken * variation / linear)


def _weights(loss: Any, run: EntryRun) -> tuple[FloatArray, ...]:
    """Return weights (cells,) that make products of the model's derivatives those of the means: w / mu, w, w mu.

    The last is that of those in the objective's second derivatives, but for the model's own.
    """
    mu = np.maximum(loss.mean(run.m), _TINY)
    if isinstance(loss, PoissonLog):
        return run.w * mu, run.w * mu**2, run.w * mu**3, run.w * mu
    return run.w / mu, run.w, run.w * mu, run.w * run.x / mu**2


def _by_rows(likelihood: Likelihood, theta: FloatArray, means2: float, n_parameters: int) -> Leverages:
    """Return the leverages as if every row of a factor, in theta (P,), were estimated by itself.

    What rows have in common is taken off in proportion.
    """
    layout, rank = likelihood.layout, likelihood.layout.rank
    sizes = dict(zip(layout.first, layout.shape, strict=True))
    blocks = {place: np.zeros((3, size, rank, rank)) for place, size in sizes.items()}
    for run in likelihood.runs(theta):
        weights = _weights(likelihood.loss, run)[:3]
        for n, place in enumerate(layout.first):
            own = run.value[:, n * rank : (n + 1) * rank]
            for (k, w), r, s in itertools.product(enumerate(weights), range(rank), range(rank)):
                blocks[place][k, :, r, s] += np.bincount(
                    run.subs[:, n], w * own[:, r] * own[:, s], sizes[place]
                )
    variation = both = 0.0
    n_free = 0
    for place, (information, plain, heavy) in blocks.items():
        mode = layout.first.index(place)
        columns = [layout.columns(mode, r) for r in range(rank)]
        n_free += sum(int(np.count_nonzero(layout.touched(mode, at, layout.free))) for at in columns)
        moves = layout.free & ~layout.bound
        inside = np.column_stack([layout.touched(mode, at, moves) for at in columns])
        held = ~(inside[:, :, None] & inside[:, None, :])
        information[held], plain[held], heavy[held] = 0.0, 0.0, 0.0
        inverse = np.linalg.pinv(information, rcond=_NULL, hermitian=True)
        own = inverse @ plain
        variation += float(np.trace(own, axis1=1, axis2=2).sum())
        both += float(np.sum(own * own.transpose(0, 2, 1)) - 2 * np.sum(inverse * heavy))
    share = min(n_parameters / max(n_free, 1), 1.0)
    return Leverages(share * variation, means2 + share * both)
