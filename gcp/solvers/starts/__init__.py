"""The starts of a fit: where each begins, how it goes on from a file, which one is kept."""
