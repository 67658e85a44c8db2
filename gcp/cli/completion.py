"""Completion of the command's words in shells, by shtab."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

import gcp
from gcp.base.errors import ParameterError
from gcp.cli.parsing import Parser

SHELLS = ("bash", "zsh", "tcsh")

_FILES = ("INPUT", "FILE", "RESULT", "IN", "OUT", "PICTURE", "TABLE", "DIR", "PAGE")
"""What the help calls files and folders."""


class PrintCompletion(argparse.Action):
    """Print a script that completes commands, options, losses, solvers and files in a shell."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, shell: Any, option_string: str | None = None
    ) -> NoReturn:
        """Exit with status 0.

        Raises
        ------
        ParameterError
            Without shtab.
        """
        try:
            import shtab
        except ImportError:
            raise ParameterError(
                '--print-completion needs shtab: pip install "gcp-tensor[completion]".'
            ) from None
        _prepare(parser, shtab.FILE)
        print(shtab.complete(parser, shell))
        parser.exit()


def _prepare(parser: argparse.ArgumentParser, file: Any) -> None:
    """Add the options that are not there yet, and say what may follow each; `file` is shtab's word for files."""
    if isinstance(parser, Parser):
        parser.add_missing_options()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _prepare(command, file)
        elif "--loss" in action.option_strings:
            action.choices = gcp.available_losses()
        elif "--solver" in action.option_strings:
            action.choices = gcp.available_solvers()
        elif action.metavar in _FILES or "--init" in action.option_strings:
            action.complete = file  # type: ignore[attr-defined]
