"""The sampler that a name means for a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gcp.base.errors import ParameterError
from gcp.tensors.base import TensorData
from gcp.tensors.kinds import stored
from gcp.tensors.samplers.base import Sampler
from gcp.tensors.samplers.semi_stratified import SemiStratified
from gcp.tensors.samplers.stratified import Stratified
from gcp.tensors.samplers.uniform import UniformCells, UniformDense, UniformKnown

_OF_KIND: dict[str, dict[str, Callable[[Any], Sampler]]] = {
    "sparse": {"stratified": Stratified, "semi-stratified": SemiStratified, "uniform": UniformCells},
    "observed": {"uniform": UniformKnown},
    "dense": {"uniform": UniformDense},
}
"""Samplers by kind of tensor; the first one is the default."""


def available_samplers() -> list[str]:
    """Return the names of the samplers."""
    return sorted(_OF_KIND["sparse"])


def sampler_for(tensor: TensorData, name: str = "auto") -> Sampler:
    """Return a sampler of this tensor.

    Parameters
    ----------
    tensor : TensorData
        In one piece; a kind of a user's own is sampled as a DenseTensor or an ObservedTensor.
    name : str
        "uniform", and for a SparseTensor also "stratified" or "semi-stratified"; "auto" is "stratified" for a
        SparseTensor, and "uniform" for the others.

    Raises
    ------
    ParameterError
        Unknown name, or a sampler that tells listed entries from zeros for a tensor that has no such kinds.
    """
    if name not in ("auto", *available_samplers()):
        known = ", ".join(["auto", *available_samplers()])
        raise ParameterError(f"Unknown sampler {name!r}. Known: {known}.")
    tensor = stored(tensor)
    of_kind = _OF_KIND[tensor.kind]
    name = next(iter(of_kind)) if name == "auto" else name
    if name not in of_kind:
        raise ParameterError(
            f"The sampler {name!r} draws listed entries and zeros apart, so it needs a SparseTensor: found "
            f'{tensor!r}. Use sampler="uniform".'
        )
    return of_kind[name](tensor)
