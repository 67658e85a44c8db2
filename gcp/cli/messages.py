"""Messages in the words of the command line: `--unlisted zero`, where Python has `unlisted="zero"`."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Collection

from gcp.cli.documented import ARGUMENTS

_TEXT = r"\"[^\"]*\"|'[^']*'"
_TEXTS = rf"(?:{_TEXT})(?:(?:,| or|, or) (?:{_TEXT})(?![\w=]))*"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_VALUE = rf"{_TEXTS}|\[[^\]]*\]|\([^)]*\)|True|False|None|{_NUMBER}"
_QUOTED = r"(?<![\w=])(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')(?!\w)"
"""What a message quotes: a user's own text."""
_UNLIKE_WORDS = {"tol"}
"""Arguments without an underscore that are nevertheless no words of English."""


def in_options(text: str, names: Collection[str], own: Collection[str] = ()) -> str:
    """Return a text with a command's options in place of the arguments of Python that they stand for.

    Parameters
    ----------
    text : str
    names : collection of str
        The command's options, as argparse names their values.
    own : collection of str
        Texts of the user that stay as they are, as what is quoted does.
    """
    kept = "|".join([*map(re.escape, own), _QUOTED])
    for argument, option in _options(names).items():
        text = re.sub(rf"the option '{argument}'", option, text)
        whole = rf"(?<![\w/.\"'-]){argument}"
        given = rf"{kept}|{whole}=(?P<value>{_VALUE})?(?=$|[\s.,;:)])"
        text = re.sub(given, _with_value(argument, option), text)
        if "_" in argument or argument in _UNLIKE_WORDS:
            name = rf"{kept}|(?P<name>{whole}(?![\w/\"'=-]|\.\w))"
            text = re.sub(name, lambda match: option if match["name"] else match[0], text)  # noqa: B023
    return re.sub(r"(--loss [\w-]+) with (\w+)=", r"\1 --param \2=", text) if "param" in names else text


def message_in_options(text: str, args: argparse.Namespace) -> str:
    """Return a message of gcp as `in_options` has it; what it begins with, after a file, may be an argument, too.

    What the command line names itself, a file or a column, stays as it is.
    """
    named = {value for value in vars(args).values() if isinstance(value, str)}
    names = [name for name in vars(args) if name not in named]
    file = next((f"{path}: " for path in named if text.startswith(f"{path}: ")), "")
    text = text.removeprefix(file)
    for argument, option in _options(names).items():  # sentences begin with a capital, or with an argument
        text = re.sub(rf"^{argument}(?=[ :])", option, text)
    return file + in_options(text, names, [value for value in named if re.search(r"\s", value)])


def _options(names: Collection[str]) -> dict[str, str]:
    """Return options by the argument of Python."""
    found = {ARGUMENTS.get(name, name): f"--{name.replace('_', '-')}" for name in names}
    found |= {"header": "--no-header"} if "header" in names else {}
    found |= {"scheme": "--hold-out"} if "hold_out" in names else {}
    found |= {"bounds": "--lower/--upper"} if "lower" in names else {}
    return found | ({"losses": "--loss"} if "loss" in names else {})


def _with_value(name: str, option: str) -> Callable[[re.Match[str]], str]:
    """Return what replaces `name=value`."""

    def replaced(match: re.Match[str]) -> str:
        if not match[0].startswith(f"{name}="):
            return match[0]
        value = match["value"]
        if value is None or value in ("True", "False"):
            return match[0] if name == "header" and value != "False" else option
        if name == "bounds" and value.count(",") == 1:
            sides = zip(("--lower", "--upper"), value.strip("()").split(", "), strict=True)
            return " ".join(f"{side} {number}" for side, number in sides if number != "None")
        if value.startswith("["):
            return f"{option} {','.join(_plain(item) for item in value[1:-1].split(', '))}"
        return f"{option} {re.sub(_TEXT, lambda found: shlex.quote(_plain(found[0])), value)}"

    return replaced


def _plain(text: str) -> str:
    return text.strip("\"'")
