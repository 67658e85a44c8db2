"""The command `gcp`: fit, describe, convert and draw tensors without writing Python."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from gcp.base.errors import GcpError
from gcp.base.notes import silence
from gcp.base.signals import INTERRUPTED, TERMINATED, Terminated
from gcp.cli import (
    anomalies_command,
    compile_command,
    convert_command,
    fit_command,
    forecast_command,
    info_command,
    judge_command,
    losses_command,
    plot_command,
    rank_command,
    report_command,
    suggest_command,
    update_command,
)
from gcp.cli.completion import SHELLS, PrintCompletion
from gcp.cli.messages import message_in_options
from gcp.cli.parsing import Parser, ShowVersion

__all__ = ["main"]

_EPILOG = """\
example:
  gcp fit nyc_flights --loss poisson --rank 5 --out flights.npz --plot flights.png

exit status: 0 success, 2 bad usage or bad input, 130 interrupted,
  143 terminated, 1 anything else
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its arguments; None takes those of the process.

    Returns
    -------
    int
        The exit status: 0 success, 2 bad usage or bad input, 130 interrupted, 143 terminated, 1 anything else.
    """
    given = sys.argv[1:] if argv is None else argv
    is_debug = "--debug" in given
    args = argparse.Namespace()
    try:
        args = _parser().parse_args(given or ["--help"])
        with silence() if getattr(args, "quiet", False) else nullcontext():
            status: int = args.run(args)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # argparse: 0 after --help, 2 after an error
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Terminated:
        return _fail("terminated", TERMINATED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:
        if is_debug:
            raise
        if isinstance(error, GcpError):
            return _fail(message_in_options(str(error), args), 2)
        return _fail(f"{type(error).__name__}: {error} (--debug shows the traceback)", 1)


def _fail(message: str, status: int) -> int:
    """Print one line on stderr; return the status."""
    print("gcp: error:", " ".join(message.split()), file=sys.stderr)
    return status


def _parser() -> Parser:
    parser = Parser(
        prog="gcp",
        description="Generalized CP tensor decomposition under the loss that your data call for.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and exit")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=SHELLS,
        help='print completion for a shell, such as for ~/.bashrc: eval "$(gcp --print-completion bash)"',
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        fit_command,
        rank_command,
        info_command,
        suggest_command,
        losses_command,
        convert_command,
        plot_command,
        judge_command,
        anomalies_command,
        forecast_command,
        update_command,
        report_command,
        compile_command,
    ):
        module.add_parser(commands)
    return parser
