"""Arrays in, arrays out: the arithmetic of the objective. Kernels know no tensor class, no loss class, no option."""
