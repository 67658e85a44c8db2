"""The sampler that a name means for a tensor."""

from __future__ import annotations

from collections.abc import Callable

from gcp.base.errors import ParameterError
from gcp.tensors.base import TensorData
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.samplers.base import Sampler
from gcp.tensors.samplers.semi_stratified import SemiStratified
from gcp.tensors.samplers.stratified import Stratified
from gcp.tensors.samplers.uniform import UniformCells, UniformDense, UniformKnown
from gcp.tensors.sparse import SparseTensor

_OF_SPARSE: dict[str, Callable[[SparseTensor], Sampler]] = {
    "semi-stratified": SemiStratified,
    "stratified": Stratified,
    "uniform": UniformCells,
}


def available_samplers() -> list[str]:
    """Names of the samplers."""
    return sorted(_OF_SPARSE)


def sampler_for(tensor: TensorData, name: str = "auto") -> Sampler:
    """A sampler of this tensor.

    Parameters
    ----------
    tensor : DenseTensor, ObservedTensor or SparseTensor
    name : str
        "uniform", and for a SparseTensor also "stratified" or "semi-stratified"; "auto" is "stratified" for a
        SparseTensor, and "uniform" for the others.

    Raises
    ------
    ParameterError
        Unknown name, or a sampler that tells listed entries from zeros for a tensor that has no such kinds.
    """
    if name not in ("auto", *_OF_SPARSE):
        known = ", ".join(["auto", *available_samplers()])
        raise ParameterError(f"Unknown sampler {name!r}. Known: {known}.")
    if isinstance(tensor, SparseTensor):
        return _OF_SPARSE["stratified" if name == "auto" else name](tensor)
    if name not in ("auto", "uniform"):
        raise ParameterError(
            f"The sampler {name!r} draws listed entries and zeros apart, so it needs a SparseTensor: found "
            f'{tensor!r}. Use sampler="uniform".'
        )
    if isinstance(tensor, ObservedTensor):
        return UniformKnown(tensor)
    if isinstance(tensor, DenseTensor):
        return UniformDense(tensor)
    raise ParameterError(f"There is no sampler for data of the kind {type(tensor).__name__}.")
