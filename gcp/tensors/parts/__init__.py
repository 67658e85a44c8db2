"""Tensors in parts: in memory, read from files in slabs, or on workers."""
