"""Kernels over lists of entries."""
