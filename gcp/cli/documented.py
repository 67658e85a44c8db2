"""Options that have their defaults and their help from the function they are arguments of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

_SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^(\S[^:\n]*)(?: : ([^\n]*))?\n((?:[ \t]+[^\n]*\n|\n)*)", re.MULTILINE)
_DEFAULT = re.compile(r"\s*Default: (.*)\.$")

ARGUMENTS = {
    "starts": "n_starts",
    "seed": "random_state",
    "max_iter": "n_iter_max",
    "threads": "n_threads",
    "splits": "n_splits",
    "jobs": "n_jobs",
}
"""Arguments of functions by the option, where these are called otherwise."""


class Documented:
    """The parameters of a function or class, as its signature and its docstring (numpydoc) have them."""

    def __init__(self, owner: Callable[..., Any]) -> None:
        self._parameters = inspect.signature(owner).parameters
        section = _SECTION.search(f"{inspect.getdoc(owner) or ''}\n")
        self._texts: dict[str, str] = {}
        self._choices: dict[str, list[str]] = {}
        for names, kind, text in _ENTRY.findall(section[1] if section else ""):
            for name in names.split(", "):
                self._texts[name] = " ".join(text.replace("`", "").split())
                if kind.startswith("{"):
                    self._choices[name] = re.findall(r'"(\w+)"', kind.partition("}")[0])

    def default(self, name: str) -> Any:
        """Return the default of a parameter."""
        return self._parameters[name].default

    def text(self, name: str, sentences: int | None = None) -> str:
        """Return the description of a parameter as help: without its default, all of it or its first sentences."""
        text = re.split(r"(?<=[a-z0-9)]\.) (?=[A-Z])", _DEFAULT.sub("", self._texts.get(name, "")))
        found = " ".join(text[:sentences]).removesuffix(".")
        return found if found[1:2].isupper() else found[:1].lower() + found[1:]

    def add(
        self,
        group: Any,
        flag: str,
        name: str = "",
        *,
        help: str = "",
        sentences: int | None = None,
        default: str = "",
        **options: Any,
    ) -> None:
        """Add an option for a parameter.

        Parameters
        ----------
        group : argparse group
        flag : str
            The option, `--n-starts`.
        name : str
            The parameter; default: as the option is called, or as `ARGUMENTS` has it.
        help : str
            What it is, where the description does not suit a command line.
        sentences : int, optional
            How many sentences of the description are the help; default: all.
        default : str
            What the help calls the default; default: as the description has it, or the signature.
        **options
            As for `add_argument`.
        """
        option = flag.lstrip("-").replace("-", "_")
        name = name or ARGUMENTS.get(option, option)
        own = self._parameters[name].default
        if not default and not help and (found := _DEFAULT.search(self._texts.get(name, ""))):
            default = found[1]
        if not default and own is not None:
            default = f"{own:g}" if isinstance(own, float) else str(own)
        text = (help or self.text(name, sentences)) + (f" (default: {default})" if default else "")
        if choices := self._choices.get(name):
            options.setdefault("choices", choices)
        group.add_argument(flag, default=own, help=text.replace("%", "%%"), **options)
