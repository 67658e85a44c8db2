"""A compiler for loops over numbers: a part of Python, turned into machine code by LLVM (docs/decisions/0039).

source       the syntax tree of a function
values       what its names stand for
code         the text that LLVM reads: arithmetic, memory, jumps
translate    statements and expressions, one after the other
known        what `range`, `min`, `np.empty` and the like become
machine      LLVM: optimisation, machine code, its place in memory
files        machine code on disk
jit          the decorators, and calls from Python
"""
