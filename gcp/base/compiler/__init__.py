"""A compiler for loops over numbers: a part of Python, turned into machine code by LLVM (docs/decisions/0039).

values       what the names of a function stand for
source       its syntax tree
writer       the text that LLVM reads
arithmetic   numbers
code         arrays and calls
known        what `range`, `min`, `np.empty` and the like become
expressions  names and expressions
statements   statements, one after the other
functions    functions that others may call
translate    a function and all that it calls, as one module
machine      LLVM: optimisation, machine code, its place in memory
code_files   machine code on disk
calls        calls of machine code from Python
jit          the decorators, and what is compiled for which types
"""
