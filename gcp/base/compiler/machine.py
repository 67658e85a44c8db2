"""LLVM: optimisation, machine code, and its place in memory."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

LOCK = threading.RLock()
"""Held by who translates or compiles: LLVM does one thing at a time."""


def _renew_lock() -> None:
    """Forget a lock that a thread of the parent held when this process was forked from it."""
    global LOCK
    LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

VERSION = f"llvmlite {llvmlite.__version__}"

_LEVEL = 3


class _Machine:
    """The processor of this process."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.triple, self.cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
        self.features = llvm.get_host_cpu_features().flatten()
        relocation = "static" if self.triple.startswith("x86") else "default"
        self.target = llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.cpu,
            features=self.features,
            opt=_LEVEL,
            reloc=relocation,
            codemodel="jitdefault",
            jit=True,
        )
        self.layout = str(self.target.target_data)
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.target)


@lru_cache(maxsize=1)
def _machine() -> _Machine:
    return _Machine()


def processor() -> str:
    """Return what machine code depends on beside the text that it is compiled from."""
    machine = _machine()
    return f"{machine.triple} {machine.cpu} {machine.features}"


def object_code(text: str) -> bytes:
    """Return the machine code of a module."""
    return bytes(_machine().target.emit_object(_optimised(text)))


def load(code: bytes) -> None:
    """Put machine code into memory, where it stays."""
    engine = _machine().engine
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()


def address(name: str) -> int:
    """Return where a function of loaded machine code is; 0 if nowhere."""
    return int(_machine().engine.get_function_address(name))


def optimised(text: str) -> str:
    """Return a module's text as LLVM leaves it, for those who look."""
    return str(_optimised(text))


def _optimised(text: str) -> Any:
    machine = _machine()
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, machine.layout
    options = llvm.create_pipeline_tuning_options(speed_level=_LEVEL)
    options.loop_vectorization, options.slp_vectorization = True, False
    builder = llvm.create_pass_builder(machine.target, options)
    builder.getModulePassManager().run(module, builder)
    return module
