"""Parts that kernels over dense and over listed entries have in common.

`compiled_formulas` compiles functions that belong to one formula, and `linked` calls functions by address, so that
none is compiled anew into the pass of every loss. `columns` is what entries and cells carry: data, weights, scales,
offsets. `per_entry` makes the loss of a run of listed entries, and `uncompiled` the loss of a block by NumPy.
`products` and `khatri_rao` are the loops of the dense passes, with `prefetch`; `vector` has the rows of factors as
short vectors for the listed ones. `reference` is the truth that tests compare with.
"""
