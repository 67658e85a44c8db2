"""What every part of the package may use: errors, types, checks, labels, threads, processes, signals."""
