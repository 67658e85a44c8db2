"""SciPy's L-BFGS-B by reverse communication, so that its state can be kept between iterations.

`scipy.optimize.minimize` hides the state in a loop of its own. The routine below is the one that it calls, in the
same way: outcomes are equal to the last bit, and a test compares them. It is no public name of SciPy
(docs/decisions/0020-checkpoints.md), and used here alone; pyproject.toml names the newest version that the tests have
passed with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from gcp.base.errors import FitError
from gcp.base.types import Array, FloatArray, State

try:
    from scipy.optimize._lbfgsb import setulb as _setulb
except ImportError:
    _setulb = None

_MAX_LINE_SEARCH = 30
_NEW_ITERATION, _EVALUATE, _CONVERGED = 1, 3, 4
_UNKNOWN_SCIPY = (
    f"SciPy {scipy.__version__} has no L-BFGS-B routine that this gcp knows: install one that gcp-tensor asks for "
    '(pip install -U gcp-tensor), or use another solver, of dense data "plbfgs".'
)
_ARRAYS = ("x", "f", "g", "wa", "iwa", "task", "lsave", "isave", "dsave", "ln_task")


class Routine:
    """A run of L-BFGS-B, stopped after every iteration.

    Parameters
    ----------
    start, lower, upper : ndarray, shape (n,)
    memory : int
        Pairs of steps and gradient changes.

    Raises
    ------
    FitError
        If this SciPy has no such routine, or another one of its name.
    """

    def __init__(self, start: Array, lower: FloatArray, upper: FloatArray, memory: int) -> None:
        if _setulb is None:
            raise FitError(_UNKNOWN_SCIPY)
        n, m = start.size, memory
        has_lower, has_upper = np.isfinite(lower), np.isfinite(upper)
        self.lower, self.upper = np.where(has_lower, lower, 0.0), np.where(has_upper, upper, 0.0)
        kind = np.where(has_lower, np.where(has_upper, 2, 1), np.where(has_upper, 3, 0))
        self.kind, self.memory = kind.astype(np.int32), m
        self.x = np.clip(np.array(start, dtype=np.float64), lower, upper)
        self.f, self.g = np.array(0.0), np.zeros(n)
        self.wa = np.zeros(2 * m * n + 5 * n + 11 * m * m + 8 * m)
        self.iwa = np.zeros(3 * n, dtype=np.int32)
        self.task, self.ln_task = np.zeros(2, dtype=np.int32), np.zeros(2, dtype=np.int32)
        self.lsave, self.isave = np.zeros(4, dtype=np.int32), np.zeros(44, dtype=np.int32)
        self.dsave = np.zeros(29)

    @property
    def converged(self) -> bool:
        """True if it ended because no further decrease is possible."""
        return bool(self.task[0] == _CONVERGED)

    def iterate(self, value_and_grad: Callable[[Array], tuple[float, FloatArray]]) -> bool:
        """Run until an iteration is done; False if the routine has ended instead.

        `value_and_grad` takes and returns vectors (n,).
        """
        while True:
            self._advance()
            if self.task[0] != _EVALUATE:
                return bool(self.task[0] == _NEW_ITERATION)
            value, grad = value_and_grad(self.x.copy())
            self.f, self.g = np.array(value, dtype=np.float64), np.array(grad, dtype=np.float64)

    def _advance(self) -> None:
        """Let the routine go on to its next question."""
        state = (self.wa, self.iwa, self.task, self.lsave, self.isave, self.dsave)
        try:
            _setulb(
                self.memory,
                self.x,
                self.lower,
                self.upper,
                self.kind,
                self.f,
                self.g,
                0.0,
                0.0,
                *state,
                _MAX_LINE_SEARCH,
                self.ln_task,
            )
        except (TypeError, ValueError) as error:
            raise FitError(_UNKNOWN_SCIPY) from error

    def snapshot(self) -> State:
        """Return all that changes, by name."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def restore(self, state: State) -> None:
        """Go on from a snapshot."""
        for name in _ARRAYS:
            setattr(self, name, np.array(state[name]))
