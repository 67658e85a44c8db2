"""Data kinds: how a tensor is stored, and what is known of the entries that are not listed."""

from __future__ import annotations

from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.frames import from_frame
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.sparse import SparseTensor

__all__ = ["DenseTensor", "ObservedTensor", "PartitionedTensor", "SparseTensor", "from_frame"]
