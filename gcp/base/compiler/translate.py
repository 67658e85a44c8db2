"""A function and all that it calls, as a module for LLVM.

A function that is called becomes a function of the module; a part with `inline`, and whatever has no decorator, is
written out where it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from gcp.base.compiler import known
from gcp.base.compiler.code import Code
from gcp.base.compiler.functions import Callee, Instruction
from gcp.base.compiler.statements import Statements
from gcp.base.compiler.values import (
    FLOAT64,
    Number,
    TranslationError,
    flat,
    form,
    is_number,
    rebuilt,
    settled,
)
from gcp.base.compiler.writer import Module


def translated(function: Callee, values: tuple[Any, ...], name: str) -> tuple[str, Any]:
    """Return a module's text, in which `name` is the function of such values, and the form of its result."""
    module = Module()
    _, result = _define(module, function, values, name, is_internal=False)
    return module.text, result


@lru_cache(maxsize=512)
def can_translate(function: Callable[..., Any], n_numbers: int) -> bool:
    """Return whether a function of so many floats, which gives one, can be compiled."""
    try:
        values = (Number(FLOAT64, ""),) * n_numbers
        return is_number(translated(Callee(function), values, "f")[1])
    except TranslationError:
        return False


def _define(
    module: Module, function: Callee, values: tuple[Any, ...], name: str, is_internal: bool
) -> tuple[Code, Any]:
    """Add a function to a module; return its text's maker, and the form of its result.

    An internal function can be called in the module alone.
    """
    code = Code(module)
    parameters = [(llvm, f"%a{k}") for k, (llvm, _) in enumerate(flat(values))]
    given = rebuilt(values, iter([text for _, text in parameters]))
    result = settled(_run(code, function.python, given, {}, function.flags))
    results = flat(result)
    if not results:
        kind, body = "void", code.body("void")
    else:
        kind, text = f"{{{', '.join(llvm for llvm, _ in results)}}}", "poison"
        for k, (llvm, part) in enumerate(results):
            text = code.get(f"insertvalue {kind} {text}, {llvm} {part}, {k}")
        body = code.body(f"{kind} {text}")
    linkage = "internal " if is_internal else ""
    listed = ", ".join(f"{llvm} {text}" for llvm, text in parameters)
    module.add(f"define {linkage}{kind} @{name}({listed}) nounwind {{\n{body}\n}}")
    return code, result


def _call_part(code: Code, part: Callee, values: tuple[Any, ...]) -> Any:
    """Call a part as a function of the same module."""
    given = settled(values)
    key = (part, form(given))
    if key not in code.module.functions:
        name = f"{part.__name__.strip('_')}.{len(code.module.functions)}"
        code.module.functions[key] = name, Ellipsis  # so that the next gets another name
        inner, result = _define(code.module, part, given, name, is_internal=True)
        if inner.makes_arrays and any(llvm == "ptr" for llvm, _ in flat(result)):
            raise TranslationError(
                f"{part.__name__} makes arrays, and perhaps returns them: it must be inline"
            )
        code.module.functions[key] = name, result
    name, result = code.module.functions[key]
    if result is Ellipsis:
        raise TranslationError(f"{part.__name__} calls itself")
    kinds = flat(result)
    kind = f"{{{', '.join(llvm for llvm, _ in kinds)}}}" if kinds else "void"
    listed = ", ".join(f"{llvm} {text}" for llvm, text in flat(given))
    if not kinds:
        code.do(f"call void @{name}({listed})")
        return result
    found = code.get(f"call {kind} @{name}({listed})")
    return rebuilt(result, iter([code.get(f"extractvalue {kind} {found}, {k}") for k in range(len(kinds))]))


def call(code: Code, function: Any, values: Iterable[Any], named: dict[str, Any] | None = None) -> Any:
    """Return the result of whatever can be called in a translated function."""
    values, named = tuple(values), named or {}
    if isinstance(function, Instruction):
        return function.build(code, *values, **named)
    handler = known.handler(function)
    if handler is not None:
        return handler(code, *values, **named)
    if isinstance(function, Callee):
        if not function.inline and not named:
            return _call_part(code, function, values)
        return _run(code, function.python, values, named, function.flags)
    if isinstance(function, type) and hasattr(function, "_fields"):
        return function(*values, **named)
    if hasattr(function, "__code__"):
        return _run(code, function, values, named, code.flags)
    raise TranslationError(f"cannot compile a call of {function!r}")


def _run(code: Code, function: Any, values: tuple[Any, ...], named: dict[str, Any], flags: str) -> Any:
    """Write a function's text at this place; return its result."""
    before, code.flags = code.flags, flags
    try:
        return Statements(code, function, call).run(values, named)
    finally:
        code.flags = before
