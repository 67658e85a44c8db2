"""Checkpoints: where a fit stands, in a file from which another run goes on to the same end, bit by bit.

A file is an .npz archive without pickles: `format`, `version`, `meta` (a JSON text in which {"array": k} stands for
the entry `array_k`), and the arrays. See docs/decisions/0020-checkpoints.md.
"""

from __future__ import annotations

import json
import os
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from gcp.base import checks, signals
from gcp.base.errors import CheckpointWarning, DataError, FormatError
from gcp.base.locks import locked
from gcp.base.types import Array, Factors, State
from gcp.io.files import DAMAGE, opened, replacing
from gcp.io.formats.npy import read_array
from gcp.io.formats.npz import write_archive
from gcp.objectives import fingerprint
from gcp.solvers.observer import Storage
from gcp.solvers.outcome import SolverOutput, Trace, can_go_on

_NAME = "gcp-checkpoint"
_VERSION = 4


class Checkpoint(Storage):
    """The storage of a whole fit, written to a file every so many seconds.

    Parameters
    ----------
    path : Path
    every : float
        Seconds between two writings; 0 writes before every iteration.
    identity : dict
        JSON values that tell this fit from others.
    seed : int or None
        None takes that of the file, or draws one.

    Raises
    ------
    DataError
        If there is a file of another fit, or none can be made here.
    FormatError
        If the file is no checkpoint, damaged, or of a newer version.
    """

    def __init__(self, path: Path, every: float, identity: dict[str, Any], seed: int | None) -> None:
        self.path, self.every = path, every
        self.stages: dict[str, State] = {}
        self.savers: set[str] = set()  # stages whose solvers save their state, in this run
        self.seconds_before, self.has_failed = 0.0, False
        self.pending = signals.PendingSignal()
        self.identity = json.loads(json.dumps(identity))
        if os.path.exists(path):  # not Path.exists, which raises for names that are too long
            self._read(seed)
        else:
            if not path.parent.is_dir():
                raise DataError(f"{path}: there is no folder {path.parent}.")
            self.seed = checks.seed(seed)
        self.began = self.written = time.perf_counter()

    # --- what has been done --------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """The time that the fit has taken, all runs together."""
        return self.seconds_before + time.perf_counter() - self.began

    def stage(
        self, name: str, run: Callable[[Storage], SolverOutput], solver: Any, start: Factors, about: str = ""
    ) -> SolverOutput:
        """Return the output of a stage from `start`, shapes (I_n, R): as it is in the file, or of `run`."""
        return self.within("").stage(name, run, solver, start, about)

    def within(self, name: str) -> Storage:
        """Return the storage of a part."""
        return _StageStorage(self, name)

    def save_state(self, stage: str, take: Callable[[], State]) -> None:
        """Write if it is time to, or if a signal waits; then the signal comes."""
        self.savers.add(stage)
        if self.pending or time.perf_counter() - self.written >= self.every:
            self.stages[stage]["state"] = take()
            self.write()
        self.pending.deliver()

    def begin_stage(self, stage: str, origin: str, solver: Any) -> SolverOutput | None:
        """Return the output of a stage, if it would end there now too; else the stage is open."""
        own = self.stages.get(stage)
        if own is None or own["origin"] != origin:  # what led to it has gone on too
            self.stages = {name: held for name, held in self.stages.items() if not _is_within(name, stage)}
            own = self.stages[stage] = {"origin": origin, "state": None, "output": None}
        if own["output"] is not None and _is_end(own, solver):
            return _output(own["output"])
        own["output"] = None
        return None

    def end_stage(self, stage: str, output: SolverOutput, solver: Any) -> None:
        """Store an output, and what it was the end under."""
        self.stages[stage]["output"] = vars(output) | {"trace": vars(output.trace)}
        self.stages[stage]["tolerances"] = _tolerances(solver)

    # --- the file ------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Replace the file; if that cannot be done, say so once, and the fit goes on."""
        arrays: list[Array] = []
        meta = _packed(
            {
                "identity": self.identity,
                "seed": str(self.seed),
                "seconds": self.seconds,
                "stages": self.stages,
            },
            arrays,
        )
        entries = {
            "format": np.array(_NAME),
            "version": np.array(_VERSION),
            "meta": np.array(json.dumps(meta)),
        }
        entries |= {f"array_{k}": array for k, array in enumerate(arrays)}
        try:
            with replacing(self.path) as part, open(part, "wb") as file:
                write_archive(file, entries, is_packed=False)
        except (OSError, DataError) as error:
            if not self.has_failed:
                reason = error.strerror if isinstance(error, OSError) else error
                text = f"{self.path}: the checkpoint cannot be written: {reason}. The fit goes on without."
                warnings.warn(text, CheckpointWarning, stacklevel=2)
            self.has_failed = True
        self.written = time.perf_counter()

    def _read(self, seed: int | None) -> None:
        try:
            with opened(self.path, False) as file:
                meta = _contents(file)
            there = meta["identity"]
            self.seed, self.seconds_before = int(meta["seed"]), float(meta["seconds"])
            self.stages = dict(meta["stages"])
        except (*DAMAGE, KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as error:
            if isinstance(error, DataError):
                raise type(error)(f"{self.path}: {error}") from error
            raise FormatError(f"{self.path}: no checkpoint, or a damaged one ({error}).") from error
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}.") from error
        names = there.keys() | self.identity.keys()  # a design or a penalty may be in one of them alone
        other = sorted(name for name in names if there.get(name) != self.identity.get(name))
        if seed not in (None, self.seed):
            other.append("random_state")
        if other:
            raise DataError(
                f"{self.path}: the checkpoint is of a fit with other {', '.join(other)}; remove it, or name "
                "another file."
            )


class _StageStorage(Storage):
    """The storage of one stage of a checkpoint, by its path."""

    def __init__(self, whole: Checkpoint, path: str) -> None:
        self.whole, self.path = whole, path

    @property
    def state(self) -> State | None:
        own = self.whole.stages.get(self.path)
        return own["state"] if own else None

    def save(self, take: Callable[[], State], *, is_end: bool = False) -> None:
        if is_end:
            self.whole.stages[self.path]["state"] = deepcopy(take())  # what follows changes its arrays
        else:
            self.whole.save_state(self.path, take)

    def iteration_ended(self) -> None:
        if self.whole.pending and self.path not in self.whole.savers:
            self.whole.write()
            self.whole.pending.deliver()

    def stage(
        self, name: str, run: Callable[[Storage], SolverOutput], solver: Any, start: Factors, about: str = ""
    ) -> SolverOutput:
        """Return the output of a stage within this one, from `start`, shapes (I_n, R); see `Storage.stage`."""
        path, origin = f"{self.path}/{name}", fingerprint.of_factors(start, about)
        if (known := self.whole.begin_stage(path, origin, solver)) is not None:
            return known
        found = run(_StageStorage(self.whole, path))
        self.whole.end_stage(path, found, solver)
        return found

    def within(self, name: str) -> Storage:
        return _StageStorage(self.whole, f"{self.path}/{name}")


@contextmanager
def opened_checkpoint(
    path: Path, every: float, identity: dict[str, Any], seed: int | None
) -> Iterator[Checkpoint]:
    """Open a checkpoint for this fit alone; a signal that ends the fit waits for the end of an iteration."""
    with locked(path, "the checkpoint"):
        checkpoint = Checkpoint(path, every, identity, seed)
        with signals.uninterrupted_iterations() as checkpoint.pending:
            yield checkpoint


def _is_within(name: str, stage: str) -> bool:
    return name == stage or name.startswith(f"{stage}/")


def _is_end(own: State, solver: Any) -> bool:
    """Return whether a run that ended as stored would end there under these limits and tolerances."""
    most, output = getattr(solver, "n_iter_max", 0), own["output"]
    return own["tolerances"] == _tolerances(solver) and not can_go_on(
        output["status"], output["n_iter"], most
    )


def _tolerances(solver: Any) -> list[float]:
    return [float(getattr(solver, name, 0.0)) for name in ("tol", "gradient_tol")]


def _output(state: State) -> SolverOutput:
    return SolverOutput(**{**state, "trace": Trace(**state["trace"])})


def _contents(file: BinaryIO) -> dict[str, Any]:
    if not zipfile.is_zipfile(file):
        raise FormatError("not an archive, or one that was cut short.")
    with zipfile.ZipFile(file) as archive:
        with archive.open("format.npy") as entry:
            form = str(read_array(cast(BinaryIO, entry)))
        if form != _NAME:
            raise FormatError(f"the archive is marked {form!r}: expected a checkpoint ({_NAME!r}).")
        with archive.open("version.npy") as entry:
            version = int(read_array(cast(BinaryIO, entry)))
        if version > _VERSION:
            raise FormatError(
                f"version {version} of the format is newer than this gcp reads ({_VERSION}): upgrade gcp."
            )
        if version < _VERSION:
            raise FormatError(f"version {version} of the format is of an older gcp: remove the file.")
        with archive.open("meta.npy") as entry:
            meta = json.loads(str(read_array(cast(BinaryIO, entry))))

        def array(k: int) -> Array:
            with archive.open(f"array_{int(k)}.npy") as entry:
                return read_array(cast(BinaryIO, entry))

        return cast(dict[str, Any], _unpacked(meta, array))


def _packed(value: Any, arrays: list[Array]) -> Any:
    """Return a JSON value; arrays, of any shape, go to the list."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {name: _packed(item, arrays) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(item, arrays) for item in value]
    return value


def _unpacked(value: Any, array: Callable[[int], Array]) -> Any:
    """Return the value of a JSON value, with arrays of any shape by their numbers."""
    if isinstance(value, dict):
        if value.keys() == {"array"}:
            return array(value["array"])
        return {name: _unpacked(item, array) for name, item in value.items()}
    if isinstance(value, list):
        return [_unpacked(item, array) for item in value]
    return value
