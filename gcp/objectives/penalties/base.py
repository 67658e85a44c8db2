"""What a penalty says of itself: its value and gradient, and, where it has them, what methods can use of it."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, Factors, FloatArray


class FactorQuadratic(NamedTuple):
    """A penalty as a function of one factor a: 0.5 * sum over r of strengths[r] * (a_r - c_r)' M (a_r - c_r).

    Attributes
    ----------
    strengths : ndarray, shape (R,)
        Of the columns.
    centre : ndarray, shape (I, R), or None
        The c_r; None is 0.
    matrix : array_like, shape (I, I), or None
        M, symmetric and positive semidefinite, dense or sparse; None is the identity, which leaves rows apart.
    """

    strengths: FloatArray
    centre: FloatArray | None = None
    matrix: Any = None


class RowPart(NamedTuple):
    """What penalties say of new positions of a mode, one row of the factor for each.

    Attributes
    ----------
    values : ndarray, shape (n,)
        What each row costs.
    strengths, centres : ndarray, shapes (1 or n, R)
        The ridge (strengths / 2) * (row - centres)**2 that has the gradient of that cost at the rows.
    """

    values: FloatArray
    strengths: FloatArray
    centres: FloatArray


class DataFacts(NamedTuple):
    """What penalties may ask of the data of a fit.

    Attributes
    ----------
    labels : ModeLabels
    shape : tuple of int
    units : mapping of str to callable
        "curvature" and "slope": functions that return the size of the loss's second and first derivative at a cell,
        about the best constant model; empty where they are not known yet.
    """

    labels: ModeLabels
    shape: tuple[int, ...]
    units: Mapping[str, Callable[[], float]]


class Penalty(ABC):
    """A function of the components' factors that is added to the loss.

    Concrete penalties are dataclasses (``@dataclass(frozen=True, eq=False)``) whose fields are their parameters:
    numbers, texts, tuples and arrays, which tell one fit from another in checkpoints and files. They write `value`
    and `add_grad`; the rest says what solvers may make of them, and its defaults are right for any smooth function.
    """

    name: ClassVar[str]
    """The name of the class in files; with its module, if that is not the package's."""

    by_name: ClassVar[dict[str, type[Penalty]]] = {}
    """Every class of penalties that is defined, for files that mention one."""

    is_row_wise: ClassVar[bool] = False
    """Whether it is quadratic in each factor alone, and apart for each row: `quadratic` without a matrix."""

    has_fixed_strengths: ClassVar[bool] = False
    """Whether `quadratic` says the same of a mode whatever the factors are."""

    prefers_balance: ClassVar[bool] = False
    """Whether, of equal models, those with equal norms in all modes cost least, and components of 0 nothing."""

    is_steep: ClassVar[bool] = False
    """Whether it is far more curved in some places than the loss, so that Gauss-Newton steps are of no use."""

    needs_nonnegative: ClassVar[bool] = False
    """Whether it is defined for nonnegative factors alone."""

    fills_rows: ClassVar[bool] = False
    """Whether it draws rows of which nothing is known to the mean row, not to 0."""

    tells_components_apart: ClassVar[bool] = False
    """Whether it is another for components in another order, which a result then keeps."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = (
            cls.__name__ if cls.__module__.startswith("gcp.") else f"{cls.__module__}.{cls.__qualname__}"
        )
        Penalty.by_name[cls.name] = cls

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        """Return the fields as a value that can be compared; arrays by their bytes."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return tuple(
            (
                name,
                (value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value,
            )
            for name, value in values
        )

    @property
    def has_hessian(self) -> bool:
        """Whether `component_hessian` can be asked for."""
        own = type(self)
        is_written = (
            own.hessian is not Penalty.hessian or own.component_hessian is not Penalty.component_hessian
        )
        return self.has_fixed_strengths or is_written

    @abstractmethod
    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""

    @abstractmethod
    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""

    def quadratic(self, mode: int, factors: Factors) -> FactorQuadratic | None:
        """Return the penalty as a function of one mode's factor (I_n, R), the others fixed, if that is quadratic."""
        return None

    def ridge(self, mode: int, factors: Factors) -> FloatArray:
        """Return the strengths (R,) of the ridge on a mode's factor that has its gradient here; zeros if none has."""
        own = self.quadratic(mode, factors)
        simple = own is not None and own.centre is None and own.matrix is None
        return own.strengths if simple else np.zeros(factors[mode].shape[1])  # type: ignore[union-attr]

    def curvature(self, factors: Factors) -> FloatArray:
        """Return the mean second derivative in an entry of each factor, shape (N,)."""
        found = np.zeros(len(factors))
        for n in range(len(factors)):
            own = self.quadratic(n, factors)
            if own is not None and own.strengths.size:
                scale = 1.0 if own.matrix is None else float(own.matrix.diagonal().mean())
                found[n] = scale * float(own.strengths.mean())
        return found

    def hessian(self, factors: Factors) -> list[FloatArray]:
        """Return the second derivatives within each column, shapes (R, I_n, I_n), of a sum over columns.

        By default those of `quadratic`, where it `has_fixed_strengths`; of other penalties nobody asks for it, unless
        they have a method of their own.
        """
        found = []
        for n, a in enumerate(factors):
            own = self.quadratic(n, factors)
            if own is None:
                raise ParameterError(
                    f"The penalty {self.name} says has_fixed_strengths, but has no quadratic along mode {n}; "
                    "gcp.testing.check_penalty tells more."
                )
            matrix = np.eye(len(a)) if own.matrix is None else own.matrix @ np.eye(len(a))
            found.append(own.strengths[:, None, None] * matrix)
        return found

    def component_hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives within each component, of all its columns, shape (R, sum of I_n, sum of I_n).

        By default those within each column alone, `hessian`.
        """
        ends = np.cumsum([0, *map(len, factors)])
        found = np.zeros((factors[0].shape[1], ends[-1], ends[-1]))
        for n, own in enumerate(self.hessian(factors)):
            at = slice(ends[n], ends[n + 1])
            found[:, at, at] = own
        return found

    def of_new_rows(self, mode: int, factors: Factors, rows: FloatArray) -> RowPart:
        """Return what a new position more would cost, for each of `rows` (n, R), all else as in fitted `factors`."""
        ridge = self.ridge(mode, factors)[None]
        return RowPart(0.5 * np.sum(ridge * rows**2, axis=1), ridge, np.zeros_like(ridge))

    def price(self, factors: Factors) -> FloatArray:
        """Return what each component costs, shape (R,), if the penalty can switch components off; else zeros."""
        return np.zeros(factors[0].shape[1])

    def resolved(self, facts: DataFacts) -> tuple[Penalty, ...]:
        """Return the penalties that it means beside the data of a fit; by default itself."""
        return (self,)

    def unsuited(self, lower: Factors) -> str:
        """Return why it does not suit factors with such lower bounds (I_n, R), in a sentence; empty if it does."""
        return ""

    def determined(self, mode: int, known: Array, rank: int) -> Array:
        """Return a mask (I_n,) of positions of a mode that it determines, beside those that data do (`known`)."""
        return np.zeros_like(known)

    def information(self, factors: Factors) -> FloatArray | None:
        """Return what it adds to the information about each component's entries, shape (R, sum of I_n, sum of I_n).

        None is said by penalties that standard errors leave out.
        """
        return None

    def taken(self, positions: Sequence[Array | None]) -> Penalty:
        """Return the penalty for factors of which some rows were taken, by mode; None stands for all in order."""
        return self

    def rearranged(self, modes: Sequence[int]) -> Penalty:
        """Return the penalty for factors whose k-th mode was the modes[k]-th.

        A field `mode`, if there is one, is taken for the number of a mode; penalties that say otherwise of which mode
        they are override this.
        """
        if not any(f.name == "mode" for f in fields(self)):  # type: ignore[arg-type]
            return self
        mode = operator.index(self.mode) % len(modes)  # type: ignore[attr-defined]
        return replace(self, mode=list(modes).index(mode))  # type: ignore[type-var]


def column_norms(factor: FloatArray) -> FloatArray:
    """Return the norms of the columns of a factor (I, R), shape (R,)."""
    return np.linalg.norm(np.asarray(factor, dtype=float), axis=0)
