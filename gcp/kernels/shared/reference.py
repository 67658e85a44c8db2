"""Short and slow versions by einsum, for any number of modes: the truth that the tests compare with."""

from __future__ import annotations

from string import ascii_letters

import numpy as np

from gcp.base.types import Array, Factors, FloatArray


def model_values(factors: Factors) -> FloatArray:
    """Return the whole model tensor (I_0, ...), sum over r of the outer products of the columns."""
    modes = ascii_letters[: len(factors)]
    return np.asarray(np.einsum(",".join(c + "Z" for c in modes) + "->" + modes, *factors))


def mttkrp(y: Array, factors: Factors, mode: int) -> FloatArray:
    """Return the mode-n unfolding of y (I_0, ...) times the other factors' Khatri-Rao product, shape (I_mode, R)."""
    modes = ascii_letters[: len(factors)]
    others = [n for n in range(len(factors)) if n != mode]
    if not others:  # a vector: each component's derivative is y itself
        return np.repeat(np.asarray(y)[:, None], factors[0].shape[1], axis=1)
    terms = ",".join([modes, *(modes[n] + "Z" for n in others)])
    return np.asarray(np.einsum(terms + "->" + modes[mode] + "Z", y, *(factors[n] for n in others)))


def mttkrps(y: Array, factors: Factors) -> list[FloatArray]:
    """Return `mttkrp` of every mode, shapes (I_n, R)."""
    return [mttkrp(y, factors, mode) for mode in range(len(factors))]
