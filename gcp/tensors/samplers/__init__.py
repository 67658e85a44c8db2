"""Samplers: mini-batches of a tensor whose sums have the tensor's as their expectation; one file per method."""

from __future__ import annotations

from gcp.tensors.samplers.base import Batch, Sampler
from gcp.tensors.samplers.choose_sampler import available_samplers, sampler_for
from gcp.tensors.samplers.control_variate import Controlled, ControlledSample

__all__ = ["Batch", "Controlled", "ControlledSample", "Sampler", "available_samplers", "sampler_for"]
