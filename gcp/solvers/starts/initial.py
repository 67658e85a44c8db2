"""The beginning of a fit: factors that are random, singular vectors, or given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import factor_by_name
from gcp.base.types import Array, FloatArray
from gcp.kernels.dense.dense_pass import model_values, mttkrps
from gcp.losses.base import Loss
from gcp.objectives import positions
from gcp.objectives.bounds import Bounds
from gcp.objectives.dominant_entries import DominantEntries, dominant_entries
from gcp.objectives.entrywise import EntrywiseObjective

_SAMPLE = 200_000

_LARGEST_START = 20.0
"""Model values beyond this are no start under a log or logit link."""

_SMALL_MEAN = 0.1
"""Mean of nonnegative components beside main effects, in means of the data."""

_SMALL_STD = 0.3
"""Spread of a random model under a log or logit link: enough to break symmetry, far from saturation."""


def random_factors(
    objective: EntrywiseObjective,
    rank: int,
    bounds: Bounds,
    rng: np.random.Generator,
    *,
    beside_effects: bool = False,
) -> list[FloatArray]:
    """Return random factors whose model has the mean that the data have under the loss's link.

    - Nonnegative models, and data whose mean stands out from their spread under an identity link: uniform
      factors, scaled alike in every mode.
      Under losses that know no scale every position has one of its own.
    - Single entries that outweigh all others together get a component each, under an identity link.
    - Other data under an identity link: small uniform factors for the mean, and centred normal ones.
    - Log and logit links: normal factors; their amplitude gives the mean where a spread of m can raise it so
      far, else one nearly constant component carries it.

    Parameters
    ----------
    objective : EntrywiseObjective
    rank : int
    bounds : Bounds
        Nonnegative lower bounds everywhere make the model nonnegative.
    rng : numpy.random.Generator
    beside_effects : bool
        Main effects hold the mean: then the model is small, centred where it may be negative.

    Returns
    -------
    list of ndarray, shapes (I_n, R)

    Notes
    -----
    docs/decisions/0004-starts.md has the measurements behind these choices.
    """
    shape, mean, std = objective.tensor.shape, _finite_mean(objective), objective.bulk.std
    if beside_effects:
        return bounds.project(_small_factors(objective, rank, mean, bounds, rng))
    nonnegative = all(low.min() >= 0 for low in bounds.lower)
    found = None if objective.loss.knows_no_scale else _dominant_entries(objective, rank, nonnegative)
    if found:
        rank, mean, std = rank - len(found.values), float(objective.loss.link(found.mean)), found.std
    if objective.loss.knows_no_scale and (scales := positions.scales(objective.tensor)):
        factors = _scaled_factors(*scales, rank, rng)
    elif nonnegative:
        factors = _uniform_factors(shape, rank, mean if mean > 0 else 1e-3, rng)
    elif is_identity(objective.loss):
        factors = _identity_factors(shape, rank, mean, std, rng)
    else:
        factors = _linked_factors(objective, rank, mean, rng)
    if found:
        own = _peaked_factors(found, shape, objective.loss)
        factors = [np.hstack(pair) for pair in zip(own, factors, strict=True)]
    return bounds.project(factors)


def _dominant_entries(objective: EntrywiseObjective, rank: int, nonnegative: bool) -> DominantEntries | None:
    """Return entries that get a component each, if they are of a sign that the model may have."""
    is_affine = objective.tensor.is_affine
    if objective.loss.bears_outliers or is_affine or not is_identity(objective.loss):
        return None
    found = dominant_entries(objective.tensor, objective.survey, rank - 1)
    return None if found is None or (nonnegative and min(found.values) < 0) else found


def _peaked_factors(found: DominantEntries, shape: tuple[int, ...], loss: Loss) -> list[FloatArray]:
    """Return factors (I_n, K) of K components, each with its peak at a dominant entry.

    A component has the size of the other entries where all positions but one are its own.
    """
    factors = [np.empty((size, len(found.values))) for size in shape]
    for r, (subscript, value) in enumerate(zip(found.subscripts, found.values, strict=True)):
        peak = float(loss.link(abs(value))) ** (1 / len(shape))
        others = float(loss.link(math.hypot(found.mean, found.std)))
        for a, position in zip(factors, subscript, strict=True):
            a[:, r] = others / peak ** (len(shape) - 1)
            a[position, r] = peak
        factors[0][:, r] *= np.sign(value)
    return factors


def _scaled_factors(
    sizes: list[FloatArray], mean: float, rank: int, rng: np.random.Generator
) -> list[FloatArray]:
    """Return random factors (I_n, R) in the scales of positions (I_n,), for losses that know no scale."""
    factors = _uniform_factors(tuple(map(len, sizes)), rank, mean, rng)
    factors = [a * size[:, None] for a, size in zip(factors, sizes, strict=True)]
    spread = np.array([np.sqrt(np.mean(np.square(a))) for a in factors])
    return [a * by for a, by in zip(factors, np.exp(np.log(spread).mean()) / spread, strict=True)]


def _uniform_factors(
    shape: tuple[int, ...], rank: int, mean: float, rng: np.random.Generator
) -> list[FloatArray]:
    """Return positive random factors (I_n, R) whose model has this mean; a negative one changes the first's sign."""
    factors = [rng.uniform(0.1, 1.0, (size, rank)) for size in shape]
    match_mean(factors, abs(mean))
    factors[0] *= np.sign(mean)
    return factors


def _small_factors(
    objective: EntrywiseObjective, rank: int, mean: float, bounds: Bounds, rng: np.random.Generator
) -> list[FloatArray]:
    """Return factors (I_n, R) of components that explain what main effects leave over."""
    shape = objective.tensor.shape
    if all(np.all(low >= 0) for low in bounds.lower):
        return _uniform_factors(shape, rank, _SMALL_MEAN * mean if mean > 0 else 1e-3, rng)
    spread = _SMALL_STD * (objective.bulk.std if is_identity(objective.loss) else 1.0)
    amplitude = ((spread or 1e-3) / np.sqrt(max(rank, 1))) ** (1 / len(shape))
    return [amplitude * rng.standard_normal((size, rank)) for size in shape]


def _identity_factors(
    shape: tuple[int, ...], rank: int, mean: float, std: float, rng: np.random.Generator
) -> list[FloatArray]:
    """Return random factors (I_n, R) for losses whose link is the identity."""
    factors = _uniform_factors(shape, rank, mean, rng)
    spread = _SMALL_STD * std
    if abs(mean) >= spread > 0 or std == 0:
        return factors
    amplitude = (spread / np.sqrt(rank)) ** (1 / len(shape))
    normal = [amplitude * rng.standard_normal((size, rank)) for size in shape]
    # Centred columns leave the mean of the model to the uniform part.
    return [u + (g - g.mean(axis=0) if len(g) > 1 else g) for u, g in zip(factors, normal, strict=True)]


def _linked_factors(
    objective: EntrywiseObjective, rank: int, mean: float, rng: np.random.Generator
) -> list[FloatArray]:
    """Return random factors (I_n, R) for losses with a log or logit link."""
    shape, loss, target = objective.tensor.shape, objective.loss, objective.bulk.mean
    factors = [rng.standard_normal((size, rank)) for size in shape]
    values = _sampler(shape, rng)

    def excess(m: Array) -> float:
        return float(np.mean(loss.mean(m))) - target

    if np.isinf(loss.data_domain.high) and float(loss.mean(0.0)) < target:
        m = values(factors)
        amplitude = _root(lambda s: excess(s * m), 0.0, _LARGEST_START / float(np.abs(m).max()))
        if amplitude is not None:
            return [a * amplitude ** (1 / len(shape)) for a in factors]
    for a in factors:
        a *= (_SMALL_STD / np.sqrt(rank)) ** (1 / len(shape))
    if abs(mean) > 1e-3:  # else the model's mean is near 0 as it is
        for a in factors:
            column = 1 + 0.1 * rng.standard_normal(len(a))
            a[:, 0] = abs(mean) ** (1 / len(shape)) * column / column.mean()
        factors[0][:, 0] *= np.sign(mean)
        constant, others = values([a[:, :1] for a in factors]), values([a[:, 1:] for a in factors])
        factors[0][:, 0] *= _root(lambda c: excess(c * constant + others), 0.5, 2.0) or 1.0
    return factors


def _sampler(shape: tuple[int, ...], rng: np.random.Generator) -> Callable[[list[FloatArray]], FloatArray]:
    """Return a function from factors (I_n, R) to their model, at all entries or, if these are many, a sample (n,)."""
    if np.prod(shape, dtype=float) <= _SAMPLE:
        return lambda factors: model_values(factors, shape)
    rows = [rng.integers(size, size=_SAMPLE) for size in shape]
    return lambda factors: np.prod([a[r] for a, r in zip(factors, rows, strict=True)], axis=0).sum(axis=1)


def _root(function: Callable[[float], float], low: float, high: float) -> float | None:
    """Return a root between two points, None if the function has the same sign at both."""
    if function(low) * function(high) > 0:
        return None
    return float(brentq(function, low, high))


def svd_factors(
    objective: EntrywiseObjective, rank: int, bounds: Bounds, rng: np.random.Generator
) -> list[FloatArray]:
    """Return leading singular vectors (I_n, R) of the unfoldings of the link-transformed data, by TensorLy.

    Missing entries take the mean. Under a log or logit link, data are drawn halfway to their mean first, which
    keeps the transform finite. Holds the whole transformed tensor in memory.
    """
    from tensorly import backend_context, unfold
    from tensorly.tenalg import svd_interface

    tensor, loss = objective.tensor, objective.loss
    if tensor.parts is not None or tensor.subs is not None:
        raise ParameterError(
            f'init="svd" is for dense data in one piece: found a {type(tensor).__name__}. Use init="random", or, of '
            "listed entries whose cells all fit into memory, tensor.to_dense()."
        )
    mean = objective.bulk.mean if tensor.is_affine else objective.survey.mean
    columns = tensor.stored_cells
    x = np.array(tensor.values, dtype=float)
    if columns is not None and columns.scale is not None:
        x /= np.where(columns.scale > 0, columns.scale, 1.0)
    if tensor.entry_weights is not None:
        x[np.broadcast_to(tensor.entry_weights == 0, x.shape)] = mean
    z = x if is_identity(loss) else np.clip(loss.link(0.5 * (x + mean)), *reach(loss))
    if columns is not None and columns.offset is not None:
        z = z - columns.offset
    nonnegative = all(low.min() >= 0 for low in bounds.lower)
    if z.ndim == 1:  # a vector has no unfoldings to decompose
        return bounds.project([np.repeat(z[:, None] / rank, rank, axis=1)])
    with backend_context("numpy"):
        # TensorLy fails where an unfolding has fewer singular vectors than components: those are random.
        found = min(rank, *(min(size, z.size // size) for size in z.shape))
        pairs = [
            svd_interface(
                unfold(z, mode), n_eigenvecs=found, method="truncated_svd", non_negative=nonnegative
            )[:2]
            for mode in range(z.ndim)
        ]
    factors = [vectors[:, :found] for vectors, _ in pairs]
    factors[0] = factors[0] * pairs[0][1][:found]
    if nonnegative:
        factors = [np.abs(a) for a in factors]
    spare = [0.1 * rng.standard_normal((size, rank - found)) / np.sqrt(size) for size in z.shape]
    factors = [np.hstack([np.asarray(a, dtype=float), b]) for a, b in zip(factors, spare, strict=True)]
    if nonnegative:  # singular vectors have zeros and arbitrary length
        factors = [np.maximum(np.abs(a), 1e-3 * np.abs(a).mean()) for a in factors]
        match_mean(factors, max(_finite_mean(objective), 1e-3))
    else:
        _match_projection(factors, z)
    return bounds.project(factors)


def given_factors(
    init: Any,
    shape: tuple[int, ...],
    rank: int,
    groups: Sequence[tuple[int, ...]],
    labels: ModeLabels | None = None,
) -> list[FloatArray]:
    """Return the factors (I_n, R) of `init`: (weights, factors), a `CPTensor`, a list of factors or a `FitResult`.

    The weights are spread evenly over the free modes, given as groups of tied ones (over the first mode if none
    is free); the sign of a negative weight goes to an odd number of modes that are tied to each other.

    Raises
    ------
    ParameterError
        If the shapes, or labels of frames, do not fit the data and the rank, or values are not finite.
    """
    weights, given = _as_model(init)
    if len(given) != len(shape):
        raise ParameterError(f"init has {len(given)} factors, but the data have {len(shape)} modes.")
    named = (factor_by_name("init", a, (shape[n], rank), labels, n) for n, a in enumerate(given))
    try:
        factors = [np.array(a, dtype=float) for a in named]
    except (TypeError, ValueError) as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(f"init: the factors are not numeric matrices ({error}).") from None
    for n, (a, size) in enumerate(zip(factors, shape, strict=True)):
        if a.shape != (size, rank):
            raise ParameterError(
                f"init: the factor of mode {n} has shape {a.shape}: expected {(size, rank)} "
                "(size of the mode, rank)."
            )
        if not np.isfinite(a).all():
            raise ParameterError(f"init: the factor of mode {n} holds NaN or infinite values.")
    if weights is not None:
        if weights.shape != (rank,) or not np.isfinite(weights).all():
            raise ParameterError(f"init: weights have shape {weights.shape}: expected {rank} finite numbers.")
        free = [mode for group in groups for mode in group] or [0]
        for mode in free:
            factors[mode] = factors[mode] * np.abs(weights) ** (1 / len(free))
        odd = next((group for group in groups if len(group) % 2), () if groups else (0,))
        if not odd and (weights < 0).any():
            raise ParameterError("init: with every mode tied to another, weights cannot be negative.")
        for mode in odd:
            factors[mode] = factors[mode] * np.where(weights < 0, -1.0, 1.0)
    return factors


def _as_model(init: Any) -> tuple[Array | None, list[Any]]:
    """Return weights (R,), or None, and factors (I_n, R), neither of them checked."""
    if hasattr(init, "main_effects"):  # a FitResult: its components
        init = (init.weights, init.with_mean_rows().factors)
    if hasattr(init, "factor_matrices"):  # a pyttb ktensor
        init = (init.weights, list(init.factor_matrices))
    if hasattr(init, "factors"):  # a CPTensor
        init = (init.weights, init.factors)
    if not isinstance(init, tuple | list):
        raise ParameterError(
            'init must be "random", "svd", a CP model (weights, factors), a list of factors or a FitResult: '
            f"found {type(init).__name__}."
        )
    try:
        if len(init) == 2 and isinstance(init[1], tuple | list):
            weights = None if init[0] is None else np.array(init[0], dtype=float)
            return weights, list(init[1])
        return None, list(init)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"init: the weights and factors are not numeric ({error}).") from None


def match_mean(factors: list[FloatArray], mean: float) -> None:
    """Scale nonnegative factors (I_n, R) in place, all modes alike, so that the mean of their model is `mean`."""
    now = float(np.sum(np.prod([a.mean(axis=0) for a in factors], axis=0)))
    if now > 0:
        for a in factors:
            a *= (mean / now) ** (1 / len(factors))


def _match_projection(factors: list[FloatArray], z: Array) -> None:
    """Spread over factors (I_n, R), in place, the weights with which their components are nearest to z (I_0, ...)."""
    gram = np.prod([a.T @ a for a in factors], axis=0)
    right = np.sum(mttkrps(z, factors)[0] * factors[0], axis=0)
    weights = np.linalg.lstsq(gram, right, rcond=None)[0]
    for a in factors:
        a *= np.abs(weights) ** (1 / len(factors))
    factors[0] *= np.where(weights < 0, -1.0, 1.0)


def _finite_mean(objective: EntrywiseObjective) -> float:
    """Return link(mean of the data), held within reach where the link is infinite."""
    return float(np.clip(objective.loss.link(objective.bulk.mean), *reach(objective.loss)))


def reach(loss: Loss) -> tuple[float, float]:
    """Return model values that a start may have: none where a link is infinite."""
    if is_identity(loss):
        return -np.inf, np.inf
    if loss.model_domain.low < 0:
        return -20.0, 20.0
    return 0.0, 1e3 if np.isfinite(loss.data_domain.high) else np.inf  # odds have no end


def is_identity(loss: Loss) -> bool:
    """Return whether m is the mean itself, up to a factor."""
    points = np.array([0.2, 0.4, 0.8])
    ratio = loss.mean(points) / points
    return bool(np.allclose(ratio, ratio[0]))
