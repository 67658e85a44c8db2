"""Files: every format of tensors, results and archives."""

from __future__ import annotations

from gcp.io.read_write import array_source, read_tensor, write_tensor

__all__ = ["array_source", "read_tensor", "write_tensor"]
