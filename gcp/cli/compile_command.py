"""`gcp compile`: compiled code ahead of use."""

from __future__ import annotations

import argparse

from gcp.cli.output import print_json
from gcp.cli.parsing import Parser, command


@command(
    "compile",
    "compile ahead of use, for containers and workers",
    "Compile what fits need and keep it on disk, so that no later fit waits for that: the first fit of a kind takes "
    "five to twenty seconds longer without it, on each machine and for each installation. NUMBA_CACHE_DIR, if it is "
    "set, must name the same folder now and later; machines with another processor compile anew.",
    "  gcp compile --loss poisson --loss gaussian --data dense",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument(
        "--loss", action="append", metavar="NAME", help="a loss, more than once for several (default: all)"
    )
    parser.add_argument(
        "--data",
        action="append",
        choices=("dense", "sparse", "observed"),
        help="a kind of data, more than once for several (default: all)",
    )
    parser.add_argument("--modes", type=int, default=3, metavar="N", help="number of modes (default: 3)")
    parser.add_argument(
        "--jobs", type=int, default=-1, metavar="N", help="processes (default: -1, all cores)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compile."""
    from gcp.analysis.compiling import compile_ahead

    done = compile_ahead(args.loss, args.data, n_modes=args.modes, n_jobs=args.jobs)
    if args.json:
        print_json(done._asdict() | {"folder": done.folder and str(done.folder)})
    else:
        place = f"kept in {done.folder}" if done.folder else "but no folder takes them: see NUMBA_CACHE_DIR"
        print(f"{done.n_functions} functions compiled in {done.seconds:.1f} seconds, {place}")
    return 0
