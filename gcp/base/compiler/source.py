"""The syntax tree of a function: of the very text that Python runs."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from gcp.base.compiler.values import TranslationError

Node = ast.FunctionDef | ast.Lambda


_TEXTS: dict[str, str] = {}


def remember(function: Any) -> None:
    """Remember the text of a function's file as it is now, so that an upgrade meanwhile is no matter."""
    path = function.__code__.co_filename
    if path not in _TEXTS:
        _TEXTS[path] = "".join(linecache.getlines(path, function.__globals__))


def _texts(function: FunctionType) -> Iterator[str]:
    """Yield texts in which a function may stand: of its file as remembered, and as it is now; and its own."""
    path = function.__code__.co_filename
    remember(function)
    yield _TEXTS[path]
    linecache.checkcache(path)
    yield "".join(linecache.getlines(path, function.__globals__))
    yield function.__doc__ or ""


def tree_of(function: FunctionType) -> Node:
    """Return the definition of a function; one that was written at run time may bear its text as its docstring.

    Raises
    ------
    TranslationError
        If its source is unknown, or no longer what was imported.
    """
    code = function.__code__
    key = code.co_name, code.co_firstlineno
    for text in _texts(function):
        trees, codes = _parsed(code.co_filename, text)
        found = [tree for tree in trees.get(key, []) if _holds(tree, code)]
        if len(found) == 1 and any(_agree(code, other) for other in codes.get(key, ())):
            return found[0]
    raise TranslationError(f"the source of {function.__qualname__} is not known")


def _holds(tree: Node, code: CodeType) -> bool:
    """Return whether all of a code's places are in a definition: there may be several lambdas on a line."""
    if isinstance(tree, ast.FunctionDef):
        return True
    body = tree.body
    first, last = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    places = [
        (line, column) for line, _, column, end in code.co_positions() if line and column is not None and end
    ]
    return all(first <= place <= last for place in places)


_Key = tuple[str, int]


@lru_cache(maxsize=128)
def _parsed(path: str, text: str) -> tuple[dict[_Key, list[Node]], dict[_Key, list[CodeType]]]:
    """Return definitions and code of a file by name and first line."""
    trees: dict[_Key, list[Node]] = {}
    codes: dict[_Key, list[CodeType]] = {}
    try:
        tree = ast.parse(text)
        top = compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return trees, codes
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            trees.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            trees.setdefault((node.name, first), []).append(node)
    for code in _within(top):
        codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    return trees, codes


def _within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _within(constant)


def _agree(code: CodeType, other: CodeType) -> bool:
    def told(code: CodeType) -> Any:
        constants = [repr(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
        return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants

    return bool(told(code) == told(other))
