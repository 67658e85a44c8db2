"""A folder that holds the fits of one search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcp.base.errors import DataError
from gcp.io.files import replacing
from gcp.losses.base import Loss
from gcp.objectives.fingerprint import of_data
from gcp.result import FitResult
from gcp.solvers.outcome import can_go_on


def reopen(paths: Sequence[Path], loss: Loss, most_iterations: float) -> None:
    """Let the first of fits begun one from the other that can go on do so, and forget those after it.

    Begun from where it ended, they are no more what they would be without that end.
    """
    for k, path in enumerate(paths):
        if not path.exists():
            continue
        found = FitResult.load(path, loss=loss)
        if can_go_on(found.status, found.n_iter, most_iterations):
            for later in reversed(paths[k + 1 :]):
                later.unlink(missing_ok=True)
                later.with_suffix(".state").unlink(missing_ok=True)
            path.unlink()
            return


def prepare(folder: Path, tensor: Any, loss: Loss, settings: dict[str, Any], seed: int | None) -> int:
    """Make the folder, or see that it is of the same data and settings; the seed that its fits have.

    Raises
    ------
    DataError
        If it is not, or cannot be used.
    """
    found = of_data(tensor, loss) | settings
    path = folder / "settings.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            there = json.loads(path.read_text(encoding="utf-8"))
            own = there.pop("seed", None) if isinstance(there, dict) else None
            if there != json.loads(json.dumps(found)) or own is None or seed not in (None, own):
                raise DataError(
                    f"{folder}: holds fits of other data or with other arguments; name another folder."
                )
            return int(own)
        drawn = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) if seed is None else seed
        with replacing(path) as part:
            part.write_text(json.dumps(found | {"seed": drawn}), encoding="utf-8")
        return drawn
    except ValueError as error:
        raise DataError(f"{path}: is damaged, or no file of select_rank ({error}).") from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be used: {error.strerror or error}.") from error
