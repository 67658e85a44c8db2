"""Generalized CP tensor decompositions under the loss that your data call for.

The public names stand, one by one, in `__init__.pyi`; each module is imported when its first name is used, so
that `import gcp` costs next to nothing.
"""

from importlib import import_module as _import_module
from typing import Any as _Any


def _listed() -> dict[str, str]:
    """Return the module of each public name.

    The stub has "from .fit import fit_gcp as fit_gcp", "from . import plots as plots".
    """
    with open(f"{__path__[0]}/__init__.pyi", encoding="utf-8") as stub:
        lines = [line.split() for line in stub]
    return {words[-1]: words[1] for words in lines if words[:1] == ["from"]}


_MODULES = _listed()
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        return _import_module("importlib.metadata").version("gcp-tensor")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _MODULES[name] == ".":
        return _import_module(f".{name}", __name__)
    found = globals()[name] = getattr(_import_module(_MODULES[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return list(__all__)
