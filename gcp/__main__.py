"""The command `gcp`, and `python -m gcp`: what Ctrl-C ends while modules are still imported has its status, too."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command of this process."""
    try:
        from gcp import cli

        return cli.main()
    except KeyboardInterrupt:
        print("gcp: error: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
