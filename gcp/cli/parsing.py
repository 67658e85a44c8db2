"""Parsers: what those of all commands share."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable
from typing import Any, NoReturn

from gcp.cli.messages import in_options

Commands = Any
"""Type of what `add_subparsers` returns, which argparse names privately."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, and whose examples keep their line breaks.

    Parameters
    ----------
    fill : callable, optional
        Adds the options. Called when the parser is used: defaults and help may come from what is slow to import.
    **options
        As for `argparse.ArgumentParser`.
    """

    def __init__(self, fill: Callable[[Parser], None] | None = None, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)
        self.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        self._fill = fill

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments, with the options that are not there yet."""
        self.add_missing_options()
        return super().parse_known_args(args, namespace)

    def add_missing_options(self) -> None:
        """Add the options, if that is not done yet."""
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
            names = {action.dest for action in self._actions}
            for action in self._actions:
                action.help = in_options(action.help, names) if action.help else None

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


def command(
    name: str, summary: str, details: str, example: str
) -> Callable[[Callable[[Parser], None]], Callable[[Commands], None]]:
    """Make, of a function that adds a command's options, one that adds the command.

    Parameters
    ----------
    name, summary : str
        As `gcp --help` lists them.
    details, example : str
        Shown above and below the options in the command's own help.
    """

    def decorate(fill: Callable[[Parser], None]) -> Callable[[Commands], None]:
        def add(commands: Commands) -> None:
            width = max(shutil.get_terminal_size().columns - 2, 11)  # as argparse has it
            text = textwrap.fill(details, width)
            commands.add_parser(
                name, help=summary, description=text, epilog=f"example:\n{example}", fill=fill
            )

        return add

    return decorate


def memory_size(text: str) -> int:
    """Return bytes, from a size such as 500MB or 2GB."""
    from gcp.base.errors import ParameterError
    from gcp.base.sizes import parse_bytes

    try:
        return parse_bytes(text, "it")
    except ParameterError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from None
