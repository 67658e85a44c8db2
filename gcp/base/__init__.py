"""Parts that all of the package may use: errors, types, checks, labels, threads, processes, signals."""
