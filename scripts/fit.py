"""Fit a generalized CP model to a tensor in a file: the same as `gcp fit`.

python scripts/fit.py nyc_flights --loss poisson --rank 5 --out flights.npz --plot flights.png
"""

from __future__ import annotations

import sys

from gcp.cli import main

if __name__ == "__main__":
    sys.exit(main(["fit", *sys.argv[1:]]))
