"""`python -m gcp` is the command `gcp`."""

from __future__ import annotations

import sys

from gcp.cli import main

if __name__ == "__main__":
    sys.exit(main())
