"""What the parsers of all commands share."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from typing import Any, NoReturn

Commands = Any
"""What `add_subparsers` returns; argparse names its type privately."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, and whose examples keep their line breaks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is; exit status 2."""
        self.exit(2, f"gcp: error: {message} (see {self.prog} --help)\n")


class ShowVersion(argparse.Action):
    """Print the version; looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Exit with status 0."""
        from importlib.metadata import version

        print(f"gcp {version('gcp-tensor')}")
        parser.exit()


def add_command(commands: Commands, name: str, summary: str, details: str, example: str) -> Parser:
    """A parser for one command.

    Parameters
    ----------
    commands : the object that `add_subparsers` returned
    name, summary : str
        As `gcp --help` lists them.
    details, example : str
        Shown above and below the options in the command's own help.
    """
    width = max(shutil.get_terminal_size().columns - 2, 11)  # as argparse has it
    parser: Parser = commands.add_parser(
        name, help=summary, description=textwrap.fill(details, width), epilog=f"example:\n{example}"
    )
    add_debug(parser)
    return parser


def memory_size(text: str) -> int:
    """Bytes, from a size such as 500MB or 2GB."""
    from gcp.base.errors import ParameterError
    from gcp.base.sizes import parse_bytes

    try:
        return parse_bytes(text)
    except ParameterError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_debug(parser: argparse.ArgumentParser) -> None:
    """The flag that `main` looks for."""
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
