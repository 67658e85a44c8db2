"""Numba's private names that the package uses: here alone, behind functions of ours.

pyproject.toml names the versions that the tests have passed with. Under one that lacks a name, compiled code is not
kept on disk, parts are compiled like all else, and nobody is told of compilations; everything else goes on.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from numba.extending import intrinsic

try:
    from numba.core.caching import NullCache
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder
    from numba.core.compiler_machinery import FunctionPass, register_pass
    from numba.core.event import Listener, register, unregister
    from numba.core.serialize import dumps
    from numba.core.untyped_passes import TranslateByteCode
except ImportError as error:
    MISSING = str(error)
    """The private name that this Numba lacks; empty if none."""
    NullCache = Listener = JITCodeLibrary = CompilerBase = FunctionPass = object
else:
    MISSING = ""

Intrinsic = type(intrinsic(lambda context: None))
"""The class of instructions that `numba.extending.intrinsic` makes."""


class CompiledFiles(Protocol):
    """The files that keep the compiled code of one function."""

    def read(self, signature: Any, processor: str) -> Iterator[bytes]:
        """Return what may hold the code for a signature and a processor, the most trusted first."""

    def write(self, signature: Any, processor: str, payload: bytes | None) -> None:
        """Keep the code, if there is a place for it; None: it cannot be kept."""


def keep_in_files(dispatcher: Any, files: CompiledFiles) -> None:
    """Let a compiled function be taken from files where they hold it, and kept in them otherwise."""
    if not MISSING and hasattr(dispatcher, "_cache"):
        dispatcher._cache = _FileCache(files)


class _FileCache(NullCache):  # type: ignore[misc]
    """A cache that Numba asks before it compiles, and tells afterwards."""

    def __init__(self, files: CompiledFiles) -> None:
        self._files = files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function compiled for a signature, if a sound file holds it."""
        target_context.refresh()
        for payload in self._files.read(sig, _processor(target_context.codegen())):
            with suppress(Exception):  # whatever is wrong with a file: compile again, and replace it
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, unless it holds addresses of this process."""
        is_bound = data.lifted or data.library.has_dynamic_globals
        self._files.write(sig, _processor(data.codegen), None if is_bound else dumps(data._reduce()))


class _PartLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of a function as it is to be linked into what calls it: not optimised, and not machine code.

    Numba's own libraries are optimised and turned into machine code with all that they call: a function costs that at
    each level above it.
    """

    def _optimize_final_module(self) -> None:
        """Leave the module as it is, once Numba has linked in what the function calls."""

    def _finalize_final_module(self) -> None:
        """End without machine code."""
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0: there is no machine code."""
        return 0

    @property
    def codegen(self) -> Any:
        """What Numba asks to connect machine code with objects of Python: there is none, and parts use none."""
        return _NoMachineCode


class _NoMachineCode:
    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        pass


class _UsePartLibrary(FunctionPass):  # type: ignore[misc]
    """Lower a function to a `_PartLibrary`."""

    _name = "use_part_library"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        state.library = _PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return False


class _PartCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler but for where the code goes."""

    def define_pipelines(self) -> list[Any]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_UsePartLibrary, TranslateByteCode)
        passes.finalize()
        return [passes]


if not MISSING:
    register_pass(mutates_CFG=False, analysis_only=True)(_UsePartLibrary)


def part_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of `njit` for a function that only compiled functions call (`guard_part` it)."""
    if MISSING:
        return options
    return options | {"pipeline_class": _PartCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def guard_part(dispatcher: Any, call: Callable[..., Any]) -> None:
    """Let calls of a part from Python go to `call`: itself it has no address."""
    if not MISSING:
        dispatcher.add_overload = lambda found: dispatcher.overloads.update(
            {tuple(found.signature.args): found}
        )
        dispatcher._compile_for_args = lambda *arguments, **named: call


def _processor(codegen: Any) -> str:
    return f"{codegen.magic_tuple()}"


@contextmanager
def compilations_seen(begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """Call functions when a compilation begins and ends; one may begin within another."""
    if MISSING:
        yield
        return
    listener = _CompileListener(begin, end)
    register("numba:compile", listener)
    try:
        yield
    finally:
        unregister("numba:compile", listener)


class _CompileListener(Listener):  # type: ignore[misc]
    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._begin, self._end = begin, end

    def on_start(self, event: Any) -> None:
        self._begin()

    def on_end(self, event: Any) -> None:
        self._end()
