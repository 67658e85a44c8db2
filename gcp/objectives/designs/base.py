"""What a basis says of itself: the columns of a design, and its rows at the positions of a mode or at new ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from scipy import sparse

from gcp.base.checks import array
from gcp.base.errors import ParameterError
from gcp.base.types import Array

_SMALL = 1 << 16
_DENSE = 0.2
"""Numbers, at most, and share of numbers other than 0, from which on, designs are arrays without gaps."""


@dataclass(frozen=True, eq=False, repr=False)
class Basis(ABC):
    """The columns of a design Z, whose factor is Z C: a row for a position depends on what the position is.

    Concrete bases are frozen dataclasses whose fields are numbers, texts, tuples and arrays, dense or sparse.
    """

    @abstractmethod
    def settled(self, labels: Array | None, size: int, mode: str) -> Self:
        """Return the basis with all that it takes from the positions of the fit, such as where its knots end.

        Parameters
        ----------
        labels : ndarray, shape (size,), or None
            Of the positions.
        size : int
        mode : str
            Name of the mode, for messages.

        Raises
        ------
        ParameterError
            Labels for which there is no row.
        """

    @abstractmethod
    def of_labels(self, labels: Array, mode: str) -> Any:
        """Return rows (n, K), dense or sparse, of labels (n,); `ParameterError` if one has none."""

    def of_coordinates(self, coordinates: Any, mode: str) -> tuple[Any, Array]:
        """Return rows (n, K), and labels (n,), of new positions as users give them to `predict_at`."""
        labels = np.atleast_1d(array(f"coordinates of {mode!r}", coordinates))
        if labels.ndim > 1:
            raise ParameterError(f"coordinates of {mode!r} must be a list: found shape {labels.shape}.")
        return self.of_labels(labels, mode), labels

    @property
    @abstractmethod
    def column_names(self) -> list[str]:
        """The names of the columns, K of them."""

    @abstractmethod
    def __repr__(self) -> str:
        """Return a short text."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        """Return the fields as a value that can be compared; arrays by their bytes."""
        found: list[Any] = []
        for f in fields(self):
            value = getattr(self, f.name)
            for part in parts_of_sparse(value) if sparse.issparse(value) else [value]:
                is_array = isinstance(part, np.ndarray)
                found.append((part.shape, part.dtype.str, part.tobytes()) if is_array else part)
        return tuple(found)

    # --- in files ----------------------------------------------------------------------------------------------

    def as_json(self, arrays: dict[str, Array], stem: str) -> dict[str, Any]:
        """Return JSON values; arrays go to `arrays`, of any shape, by names that begin with `stem`."""
        own: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                arrays[f"{stem}_{f.name}"] = value
                value = {"array": f"{stem}_{f.name}"}
            elif sparse.issparse(value):
                names = [f"{stem}_{f.name}_{part}" for part in ("data", "indices", "indptr")]
                arrays |= dict(zip(names, parts_of_sparse(value)[:3], strict=True))
                value = {"sparse": names, "shape": list(value.shape)}
            own[f.name] = list(value) if isinstance(value, tuple) else value
        return {"class": type(self).__name__, "fields": own}


def parts_of_sparse(matrix: Any) -> list[Any]:
    """Return what a sparse matrix (n, K) consists of: numbers, columns, where rows begin, and the shape."""
    own = sparse.csr_array(matrix)
    return [own.data, own.indices, own.indptr, own.shape]


def as_design(matrix: Any) -> Any:
    """Return a matrix (n, K), dense where it is small or has few gaps, else sparse by rows."""
    n, k = matrix.shape
    if not sparse.issparse(matrix):
        return np.ascontiguousarray(matrix, dtype=float)
    own = sparse.csr_array(matrix, dtype=float)
    return own.toarray() if n * k <= _SMALL or own.nnz >= _DENSE * n * k else own
