"""Data kinds: how a tensor is stored, and what is known of the entries that are not listed.

`intake.coerce.as_tensor` makes a data kind of whatever a user calls a tensor: it recognises arrays, tables and sparse
matrices (`intake.recognise`, `intake.frames`, `intake.foreign`), picks up labels, and puts masks and weights in the
order of the data (`masks`). `DenseTensor` keeps every cell, as a matrix over its own memory; `SparseTensor` and
`ObservedTensor` (base: `ListedTensor`) keep a list that `entries` checks, sorts and merges, and say whether other
cells are zeros or unknown. All offer `TensorData` (`base`): blocks for a look at the data, and
`loss_and_mttkrps(formula, factors)`, which a kind hands to its kernels (`gcp.kernels`): both know formulas, but no
losses.

A `PartitionedTensor` (`parts`) is the same in pieces: its engine evaluates a function of every part, in this process,
by reading slabs of files, or on Dask's workers, and adds up the results. A sampler (`samplers`) draws batches of a
tensor, which are lists of entries with a `loss_and_mttkrps` of their own.
"""

from __future__ import annotations

from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.frames import from_frame
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.sparse import SparseTensor

__all__ = ["DenseTensor", "ObservedTensor", "PartitionedTensor", "SparseTensor", "from_frame"]
