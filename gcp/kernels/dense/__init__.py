"""Kernels over arrays that hold every entry."""
