"""What kernels over dense and over listed entries have in common: compiling, losses per entry, products, vectors."""
