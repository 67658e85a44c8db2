"""`gcp compile`: compiled code ahead of use."""

from __future__ import annotations

import argparse

import gcp
from gcp.cli.documented import Documented
from gcp.cli.fit_options import at_least
from gcp.cli.output import print_json
from gcp.cli.parsing import Parser, command


@command(
    "compile",
    "compile ahead of use, for containers and workers",
    "Compile what fits need and keep it on disk, so that no later fit waits for that: the first fit of a kind takes "
    "two to five seconds longer without it, on each machine and for each installation. GCP_CACHE_DIR, if it is "
    "set, must name the same folder now and later; machines with another processor compile anew.",
    "  gcp compile --loss poisson --loss gaussian --data dense",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    ahead = Documented(gcp.compile_ahead)
    several = "; more than once for several (default: all)"
    ahead.add(parser, "--loss", "losses", action="append", metavar="NAME", help=f"a loss{several}")
    ahead.add(parser, "--data", action="append", help=f"a kind of data{several}")
    ahead.add(parser, "--modes", "n_modes", type=at_least(1), metavar="N", sentences=1)
    ahead.add(parser, "--jobs", type=int, metavar="N", help="number of processes; -1 is one for each core")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compile."""
    done = gcp.compile_ahead(args.loss, args.data, n_modes=args.modes, n_jobs=args.jobs)
    if args.json:
        print_json(done._asdict() | {"folder": done.folder and str(done.folder)})
    else:
        place = f"kept in {done.folder}" if done.folder else "but no folder takes them: see GCP_CACHE_DIR"
        print(f"{done.n_functions} functions compiled in {done.seconds:.1f} seconds, {place}")
    return 0
