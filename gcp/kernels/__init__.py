"""Kernels over plain arrays, compiled: values, gradients and row updates. They know formulas, not losses or tensors.

A tensor hands over its entries in the form that it keeps for kernels (`dense.layout.Layout` or
`listed.listed_pass.Listing`), a loss's `Formula` and the factors; `loss_and_mttkrps` returns the weighted sum of the
loss and its gradient in every factor and main effect, from one pass: neither the model nor its derivatives are ever
stored whole. A pass goes through its entries in blocks that fit the caches; what depends on the formula and what does
not are compiled apart and call each other by address, and formulas that cannot be compiled run by NumPy. Threads
get fixed parts, whose sums are added in a fixed order.

`shared` is what `dense` and `listed` are made of.
"""
