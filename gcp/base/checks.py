"""Checks of arguments at the doors: one sentence says which it is, what was found and what was expected."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeGuard, TypeVar

import numpy as np

from gcp.base.errors import GcpError, ParameterError
from gcp.base.types import Array, FloatArray

T = TypeVar("T")
Kind = type[GcpError]

_LARGEST = 2**63 - 1

MOST_REPEATS = 1_000_000
"""Fits, splits or draws that may be asked for; more is a slip, and takes memory before the first is done."""

_brief = Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 60


def is_real(value: object) -> TypeGuard[float]:
    """Return whether this is a finite real number of Python or NumPy (not a boolean)."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:  # a whole number beyond all floats
        return False


def show(value: object) -> str:
    """Return a value for a message: short, and never an error of its own."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    try:
        return _brief.repr(value)
    except Exception:
        return f"a {type(value).__name__}"


def and_more(n: int) -> str:
    """Return words for how many more offenders there are than the one that a message names, if any."""
    return f", and {n} more" if n else ""


def whole(name: str, value: Any, least: int = 1, most: int = _LARGEST) -> int:
    """Return a whole number of Python or NumPy as an int; booleans are refused.

    Raises
    ------
    ParameterError
        Anything else, or a number out of range.
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ParameterError(f"{name} must be an integer >= {least}: found {show(value)}.")
    if value > most:
        raise ParameterError(f"{name} must be an integer from {least} to {most}: found {show(value)}.")
    return int(value)


def real(
    name: str, value: Any, *, least: float = -np.inf, above: float = -np.inf, below: float = np.inf
) -> float:
    """Return a finite real number of Python or NumPy as a float; booleans are refused.

    Raises
    ------
    ParameterError
        Anything else, or a number out of range.
    """
    if is_real(value) and float(value) >= least and above < float(value) < below:
        return float(value)
    if np.isfinite(below):
        is_open = np.isfinite(above)
        limits = f" between {above:g} and {below:g}" if is_open else f" from {least:g} to less than {below:g}"
    elif np.isfinite(least):
        limits = f" >= {least:g}"
    else:
        limits = f" > {above:g}" if np.isfinite(above) else ""
    raise ParameterError(f"{name} must be a finite number{limits}: found {show(value)}.")


def truth(name: str, value: Any) -> bool:
    """Return True or False, also for a whole number, of which 0 is False.

    Raises
    ------
    ParameterError
        Anything else.
    """
    if not isinstance(value, int | np.integer | np.bool_):
        raise ParameterError(f"{name} must be True or False: found {show(value)}.")
    return bool(value)


def text(name: str, value: Any, choices: Iterable[str] = ()) -> str:
    """Return a text, one of the choices if there are any.

    Raises
    ------
    ParameterError
        Anything else.
    """
    choices = list(choices)
    if isinstance(value, str) and (not choices or value in choices):
        return value
    expected = f"one of {', '.join(choices)}" if choices else "a text"
    raise ParameterError(f"{name} must be {expected}: found {show(value)}.")


def path(name: str, value: Any) -> Path:
    """Return a path of a file or folder.

    Raises
    ------
    ParameterError
        Neither a text nor an `os.PathLike`, or one that no file can have.
    """
    given = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(given, str) or "\0" in given or not given:
        raise ParameterError(f"{name} must be a path, as text or pathlib.Path: found {show(value)}.")
    return Path(given)


def function(name: str, value: Any, n_arguments: int) -> Callable[..., Any]:
    """Return a function that takes so many arguments, as far as can be seen.

    Raises
    ------
    ParameterError
        Anything else.
    """
    if not callable(value) or isinstance(value, type):
        raise ParameterError(f"{name} must be a function: found {show(value)}.")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # of some compiled functions nothing is known
        return value
    try:
        signature.bind(*range(n_arguments))
    except TypeError:
        s = "s" if n_arguments > 1 else ""
        raise ParameterError(f"{name} must take {n_arguments} argument{s}: found {show(value)}.") from None
    return value


def instance(name: str, value: Any, cls: type[T], expected: str) -> T:
    """Return an object of a class.

    Raises
    ------
    ParameterError
        Anything else.
    """
    if not isinstance(value, cls):
        raise ParameterError(f"{name} must be {expected}: found {show(value)}.")
    return value


def items(name: str, value: Any, expected: str, kind: Kind = ParameterError) -> list[Any]:
    """Return the items of a list, tuple, range or array; texts, sets and mappings have no items in an order.

    Raises
    ------
    kind
        Anything else.
    """
    is_listed = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    if not is_listed or isinstance(value, str | bytes):
        raise kind(f"{name} must be {expected}: found {show(value)}.")
    return list(value)


def array(name: str, value: Any, kind: Kind = ParameterError) -> Array:
    """Return anything that NumPy reads as an array, of any shape.

    Raises
    ------
    kind
        Ragged lists and the like; masked entries, for NumPy would read what lies under the mask.
    """
    if np.ma.is_masked(value) or _has_masked_arrays(value):
        raise kind(
            f"{name} has masked entries, which are no numbers: fill them first, e.g. by numpy.ma.filled; a list of "
            "masked arrays becomes one by numpy.ma.stack."
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError, RecursionError) as error:
        raise kind(f"{name} cannot be read as an array: {error}") from None


def _has_masked_arrays(value: Any) -> bool:
    """Return whether masked entries lie in arrays of a list, or of lists of lists, which may hold themselves."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, np.ndarray):
            if item.ndim and np.ma.is_masked(item):
                return True
        elif isinstance(item, list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting += [each for each in item if isinstance(each, list | tuple | np.ndarray)]
    return False


def numbers(name: str, value: Any, kind: Kind = ParameterError) -> Array:
    """Return an array of real numbers, integers or booleans, of any shape.

    Raises
    ------
    kind
        Anything else.
    """
    found = array(name, value, kind)
    if found.dtype.kind not in "buif":
        raise kind(f"{name} must hold real numbers: found {show(value)} (dtype {found.dtype}).")
    return found


def floats(name: str, value: Any, kind: Kind = ParameterError) -> FloatArray:
    """Return real numbers as an array of float64, of any shape; NaN and infinities are numbers too.

    Raises
    ------
    kind
        As `numbers`.
    """
    return numbers(name, value, kind).astype(np.float64, copy=False)


def pair(x: Any, m: Any) -> tuple[FloatArray, FloatArray]:
    """Return data and model entries as float64, of shapes that go together.

    Raises
    ------
    ParameterError
        Anything else.
    """
    x, m = floats("x", x), floats("m", m)
    try:
        np.broadcast_shapes(x.shape, m.shape)
    except ValueError:
        raise ParameterError(
            f"x has shape {x.shape} and m has shape {m.shape}: these do not go together."
        ) from None
    return x, m


def matrices(factors: Any, shape: tuple[int, ...]) -> list[FloatArray]:
    """Return factor matrices of floats, one for each mode, shapes (I_n, R).

    Raises
    ------
    ParameterError
        Anything else.
    """
    expected = f"a list of one matrix for each of {len(shape)} modes"
    if isinstance(factors, np.ndarray):  # one for all modes; not to be read row by row
        raise ParameterError(f"factors must be {expected}: found {show(factors)}.")
    found = items("factors", factors, expected)
    are_matrices = all(isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.ndim == 2 for a in found)
    rank = found[0].shape[1] if found and are_matrices else 0
    if not are_matrices or [a.shape for a in found] != [(size, rank) for size in shape]:
        raise ParameterError(
            f"factors must be matrices of floats of the shapes (size of the mode, rank) for the sizes {shape}: found "
            f"{', '.join(map(show, found)) or 'none'}."
        )
    return found


def seed(random_state: Any) -> int:
    """Return a whole number that decides all that is random; None draws one.

    A Generator and a RandomState move on by one number; a SeedSequence stays, and gives the same number again.

    Raises
    ------
    ParameterError
        Neither a nonnegative integer, nor a source of randomness of NumPy, nor None.
    """
    if random_state is None:
        random_state = np.random.SeedSequence()
    if isinstance(random_state, np.random.SeedSequence):
        return int(random_state.generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**63 - 1, dtype=np.int64))
    is_whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if is_whole and random_state >= 0:
        return int(random_state)
    raise ParameterError(
        "random_state must be a nonnegative integer, a numpy Generator, RandomState or SeedSequence, or None: found "
        f"{show(random_state)}."
    )


def generator(random_state: Any, purpose: str = "") -> np.random.Generator:
    """Return the generator that `random_state` stands for: itself, or a new one.

    New ones have numbers of their own for each purpose. People draw data by ``numpy.random.default_rng(0)`` and say
    ``random_state=0``: the same numbers twice would hold out the cells where the data are large. Without a purpose
    they are those of ``default_rng``.

    Raises
    ------
    ParameterError
        As `seed`.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.SeedSequence):
        entropy, key = random_state.entropy, random_state.spawn_key
    else:
        entropy, key = seed(random_state), ()
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(*key, *purpose.encode())))
