"""File formats: what one is, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, GcpError, ParameterError
from gcp.base.types import Array
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.parts.sources import Source
from gcp.tensors.sparse import SparseTensor

_REASON = 300
"""Characters of a library's message that are repeated."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format. Each file of `gcp.io.formats` lists its own as `FORMATS`, which is all that makes them known.

    Attributes
    ----------
    endings : tuple of str
        Of file names, in lower case, with the dot.
    read : callable, optional
        `read(file, **options) -> Tensor`, from a seekable binary file; without it there is `source`.
    write : callable, optional
        `write(file, tensor)`, to a binary file; without it files are only read.
    options : frozenset of str
        The options of `read_tensor` that `read` and `source` take.
    source : callable, optional
        `source(path, **options) -> Source`, of formats whose arrays can be read in slabs.
    needs : tuple of str
        Optional packages without which nothing is read or written.
    extra : str
        The extra of this package that installs them.
    is_text : bool
        Whether files are text, which `.gz` after the ending says is compressed.
    """

    endings: tuple[str, ...]
    read: Callable[..., Tensor] | None = None
    write: Callable[[BinaryIO, Tensor], None] | None = None
    options: frozenset[str] = frozenset()
    source: Callable[..., Source] | None = None
    needs: tuple[str, ...] = ()
    extra: str = ""
    is_text: bool = False

    def check_needs(self) -> None:
        """Raise `ParameterError` for the first package that is not installed."""
        for name in self.needs:
            required(name, f"{self.endings[0]} files", self.extra)


def required(name: str, what: str, extra: str) -> ModuleType:
    """Return an optional package, imported when `what` needs it.

    Raises
    ------
    ParameterError
        It is not installed; the message names the extra that installs it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        missing = error.name or name
        raise ParameterError(f'{what} need {missing}: pip install "gcp-tensor[{extra}]".') from error


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Tell as `FormatError` whatever a library raises over bytes that are no such file, or damaged ones.

    They raise errors of many kinds, and other ones in each version; those of memory and of `gcp` pass.
    """
    try:
        yield
    except (GcpError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".?")[:_REASON] or type(error).__name__
        raise FormatError(f"not {what}, or one that is damaged or cut short: {reason}.") from error


def observed(tensor: DenseTensor, form: str) -> Array | None:
    """Return a mask of the tensor's shape, True where observed; None if everywhere.

    Refuses weights, which only .npz keeps.
    """
    weights = tensor.entry_weights
    if weights is None or weights.dtype.kind == "b":
        return weights
    if not np.isin(weights, (0, 1)).all():
        raise DataError(f"The tensor has entry weights, which {form} files cannot hold. Write .npz instead.")
    return np.asarray(weights != 0)


def refuse_weights(tensor: SparseTensor | ObservedTensor, form: str) -> None:
    """Raise `DataError` for a listed tensor with weights."""
    has_modes = tensor.zeros is not None and tensor.mode_weights is not None
    if has_modes or tensor.entry_weights is not None:
        raise DataError(f"The tensor has weights, which {form} files cannot hold. Write .npz instead.")


def values_with_nan(tensor: Tensor, form: str) -> Array:
    """Return all cells, shape (I_0, ...), with NaN for missing ones (integers then become float64)."""
    tensor = tensor.to_dense()
    mask = observed(tensor, form)
    if mask is None:
        return tensor.values
    if tensor.values.dtype.kind == "f":
        return np.where(mask, tensor.values, np.array(np.nan, tensor.values.dtype))
    return np.where(mask, tensor.values, np.nan)


def native(values: Array) -> Array:
    """Return the array, of any shape, in this machine's byte order."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def choose_variable(found: Mapping[str, Any], others: dict[str, str], variable: str | None) -> Any:
    """Return the one array of a file that holds several things, or the one that `variable` names.

    Parameters
    ----------
    found : mapping
        Numeric arrays by name, of any class that has a shape.
    others : dict
        What else is there: a description by name.
    variable : str or None
        The caller's choice.
    """
    listing = ", ".join(f"{name} {' x '.join(map(str, array.shape))}" for name, array in found.items())
    if variable is None:
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise DataError(f"The file holds several arrays ({listing}): choose one with variable=.")
        held = ", ".join(f"{name} ({what})" for name, what in others.items()) or "the file is empty"
        raise FormatError(f"The file holds no array of real numbers: {held}.")
    if variable in found:
        return found[variable]
    if variable in others:
        raise DataError(f"Variable {variable!r} is no array of real numbers but {others[variable]}.")
    raise ParameterError(f"There is no variable {variable!r}; arrays in the file: {listing or 'none'}.")


def check_promise(found: int, expected: int | None) -> None:
    """Raise `FormatError` for another number of rows than the header promised, if it did."""
    if expected is not None and found != expected:
        raise FormatError(f"the header promises {expected} rows: found {found}{cut_short(found, expected)}.")


def cut_short(found: int, expected: int) -> str:
    """Return words on what another number than the promised one may mean."""
    return (
        ", less: the file may be cut short"
        if found < expected
        else ", more: the header may be another file's"
    )
