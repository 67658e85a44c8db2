"""Samplers: mini-batches of a tensor whose sums have the tensor's as their expectation; one file per method."""

from __future__ import annotations

from gcp.samplers.base import Batch, Sampler
from gcp.samplers.choose import available_samplers, sampler_for
from gcp.samplers.controlled import Controlled, ControlledSample

__all__ = ["Batch", "Controlled", "ControlledSample", "Sampler", "available_samplers", "sampler_for"]
