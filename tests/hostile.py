"""Values that no argument should have, and what a function does when it gets one of them."""

import inspect
import signal
import traceback
import warnings
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction

import numpy as np

from gcp.base.errors import CheckpointWarning, ConvergenceWarning, GcpError, UndeterminedWarning


def nothing():
    """A function of no arguments."""


RAGGED = [[1, 2], [3]]
CUBE = np.ones((2, 2, 2))

VALUES = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "-1": lambda: -1,
    "1.5": lambda: 1.5,
    "nan": lambda: float("nan"),
    "2**70": lambda: 2**70,
    "text": lambda: "x",
    "ragged list": lambda: RAGGED,
    "empty list": lambda: [],
    "object array": lambda: np.array([None, "a", 1.0], dtype=object),
    "complex array": lambda: np.array([1j, 2.0]),
    "cube": lambda: CUBE,
    "function": lambda: nothing,
    "dict": lambda: {},
}
"""One or two of each kind."""

MORE_VALUES = {
    "False": lambda: False,
    "1": lambda: 1,
    "-2**70": lambda: -(2**70),
    "10**400": lambda: 10**400,
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "1e308": lambda: 1e308,
    "1e-320": lambda: 1e-320,
    "1j": lambda: 1j,
    "empty text": lambda: "",
    "bytes": lambda: b"x",
    "text with a zero": lambda: "a\0b.npz",
    "long text": lambda: "x" * 5000,
    "set": lambda: {1, "a"},
    "dict of texts": lambda: {"a": 1, 2: "b"},
    "tuple": lambda: (1, 2),
    "list of None": lambda: [None, None],
    "list of texts": lambda: ["a", "b"],
    "nested list": lambda: [[[1]], [[2]]],
    "list of itself": lambda: _endless(),
    "long list": lambda: [0.5] * 100_000,
    "generator": lambda: (k for k in range(3)),
    "range": lambda: range(3),
    "class": lambda: int,
    "object": lambda: object(),
    "module": lambda: np,
    "exception": lambda: ValueError("x"),
    "Decimal": lambda: Decimal("1.5"),
    "Fraction": lambda: Fraction(1, 2),
    "empty array": lambda: np.array([]),
    "number as array": lambda: np.array(2.0),
    "array of one": lambda: np.array([1]),
    "NaN array": lambda: np.full((4, 3, 2), np.nan),
    "array with inf": lambda: np.array([1.0, np.inf]),
    "array of texts": lambda: np.array(["a", "b"]),
    "array of bytes": lambda: np.array([b"a", b"b"]),
    "array of dates": lambda: np.array(["2001-01-01", "NaT"], dtype="M8[D]"),
    "structured array": lambda: np.zeros(2, dtype=[("a", int), ("b", float)]),
    "negative array": lambda: -np.ones((4, 3, 2)),
    "five modes": lambda: np.ones((1, 1, 1, 1, 1)),
    "masked array": lambda: np.ma.masked_all((4, 3, 2)),
    "numpy float": lambda: np.float32(1.5),
    "numpy integer": lambda: np.uint8(200),
    "numpy boolean": lambda: np.bool_(True),
    "numpy nan": lambda: np.float64("nan"),
    "numpy date": lambda: np.datetime64("NaT"),
    "memory": lambda: memoryview(b"abc"),
}

HUGE_VALUES = {
    "10**12": lambda: 10**12,
    "huge shape": lambda: (10**6, 10**6, 10**6),
    "huge number in an array": lambda: np.array([2**40, 1, 1]),
}
"""What memory ends with for those who make what is asked for."""


def _endless():
    found = [1]
    found.append(found)
    return found


class TooSlowError(BaseException):
    """A call that takes longer than it may."""


@contextmanager
def time_limit(seconds):
    """`TooSlowError` after so many seconds."""

    def stop(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def parameters(call):
    """Names of what a call may be given, also beyond what it is given."""
    found = inspect.signature(call.function).parameters.values()
    names = [p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return list(dict.fromkeys([*names, *call.arguments]))


def fault(call, name, value, seconds=5.0):
    """What goes wrong, in a line, when an argument is replaced by a value; None if nothing does.

    Right are success and errors of gcp's own. Warnings count as errors, but for those of gcp.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", CheckpointWarning)
        warnings.simplefilter("ignore", UndeterminedWarning)
        try:
            with time_limit(seconds):
                call.function(**call.arguments | {name: value})
        except GcpError as error:
            return None if str(error) else "an error without a message"
        except TooSlowError:
            return f"takes more than {seconds:g} s"
        except BaseException as error:
            if isinstance(error.__cause__, TooSlowError):  # it met Numba's dispatcher, which wraps it
                return f"takes more than {seconds:g} s"
            frame = traceback.extract_tb(error.__traceback__)[-1]
            own = [f for f in traceback.extract_tb(error.__traceback__) if "/gcp/" in f.filename]
            where = f"{own[-1].filename.rpartition('/gcp/')[2]}:{own[-1].lineno}" if own else frame.filename
            return f"{type(error).__name__}: {str(error)[:100]} ({where})"
    return None
