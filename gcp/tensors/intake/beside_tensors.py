"""Arguments that are given beside several tensors, each as a dict by the name of the tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gcp.base.checks import show
from gcp.base.errors import ParameterError


def given_beside(beside: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return by tensor what is given beside it, by the name of the argument.

    Parameters
    ----------
    beside : dict of str to (dict of str to object, or None)
        By argument (modes, mask, entry_weights, exposure, offset, trials) and tensor.
    names : tuple of str
        Of the tensors.

    Raises
    ------
    ParameterError
        An argument that is no dict, or that names no tensor.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for argument, given in beside.items():
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise ParameterError(
                f"{argument} beside coupled tensors must be a dict by tensor, {{{names[0]!r}: ...}}: found "
                f"{show(given)}."
            )
        for name, value in given.items():
            if name not in found:
                raise ParameterError(
                    f"{argument} names {show(name)}, but there is no such tensor: found {', '.join(names)}."
                )
            found[name][argument] = value
    return found
