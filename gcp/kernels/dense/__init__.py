"""Kernels over arrays that hold every entry.

`layout` lays a tensor out as a matrix, slow modes by fast modes, over its own memory where that is possible.
`dense_pass` makes Khatri-Rao rows of both sides, cuts the matrix into a part for each thread and runs over each part
the pass that `fused` compiles for a formula, or a plain one by NumPy; the sums of the parts go back through the
adjoints of the Khatri-Rao products to the gradients of all modes. `contract` computes the two products of alternating
least squares over the same layout. `slices` lists the entries of one mode after the other for `listed.row_steps`.
"""
