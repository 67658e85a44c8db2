"""Penalties of one mode that no rescaling of the factors evades: they are of what a component adds to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.penalties.base import DataFacts, FactorQuadratic, Penalty

LARGEST = 1e100
"""Strengths are below this."""

_HIDDEN = ("number", "unit", "coordinates", "size")
"""Fields that data decide, which are no arguments."""


class ModePenalty(Penalty):
    """A penalty of one mode: strength * unit * sum over r of c(a_r) * what the component's other factors are.

    Fields
    ------
    mode : int, str or None
        As it was given; None is one penalty for each mode.
    strength : float
    number : int or None
        Of the mode, once data are known.
    unit : float or None
        What a strength of 1 is worth, in units of the loss, once data are known; then it stays.
    """

    mode: int | str | None
    strength: float
    number: int | None
    unit: float | None

    unit_of: ClassVar[str] = "curvature"
    """Which derivative of the loss is the unit; see `DataFacts`."""

    def __post_init__(self) -> None:
        is_number = isinstance(self.mode, int | np.integer) and not isinstance(self.mode, bool)
        if not (self.mode is None or isinstance(self.mode, str) or is_number):
            raise ParameterError(
                f"mode must be the name or the number of a mode, or None for all: found {checks.show(self.mode)}."
            )
        self._set(mode=int(self.mode) if is_number else self.mode)  # type: ignore[arg-type]
        self._set(strength=checks.real("strength", self.strength, least=0, below=LARGEST))

    def _set(self, **values: Any) -> None:
        """Write fields, while the penalty is made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return the call that makes the penalty, with dots for arrays."""
        texts = []
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if f.name not in _HIDDEN and (f.name == "mode" or value is not f.default):
                shown = repr(value) if value is None or isinstance(value, str | int | float) else "..."
                texts.append(
                    shown if f.name in ("mode", "strength") or shown == "..." else f"{f.name}={shown}"
                )
        return f"{type(self).__name__}({', '.join(texts)})"

    def resolved(self, facts: DataFacts) -> tuple[Penalty, ...]:
        """Return the penalty with the number of its mode and its unit; of mode None, one for each mode."""
        if self.mode is None:
            each = [replace(self, mode=name) for name in facts.labels.names]  # type: ignore[type-var]
            return tuple(one for penalty in each for one in penalty.resolved(facts))
        number = self._number(len(facts.shape), facts)
        unit = facts.units[self.unit_of]() if facts.units else None
        return (replace(self, number=number, unit=unit)._of_data(facts),)  # type: ignore[type-var]

    def _of_data(self, facts: DataFacts) -> Self:
        """Return the penalty with what else it takes of the data."""
        return self

    def _number(self, ndim: int, facts: DataFacts | None = None) -> int:
        """Return the number of the mode among `ndim`."""
        if facts is None and self.number is not None:
            return self.number
        if isinstance(self.mode, int) and -ndim <= self.mode < ndim:
            return self.mode % ndim
        if facts is None:
            raise ParameterError(f"{self!r}: which mode that is, only data say; here its number is needed.")
        try:
            return facts.labels.number(self.mode)  # type: ignore[arg-type]
        except ParameterError as error:
            raise ParameterError(f"{self!r}: {error}") from None

    @property
    def scale(self) -> float:
        """The strength in units of the loss."""
        return self.strength * (1.0 if self.unit is None else self.unit)

    def rearranged(self, modes: Sequence[int]) -> Penalty:
        """Return the penalty for factors whose k-th mode was the modes[k]-th."""
        if self.mode is None:
            return self
        number = list(modes).index(self._number(len(modes)))
        mode = self.mode if isinstance(self.mode, str) else number
        return replace(self, mode=mode, number=number)  # type: ignore[type-var]

    def determined(self, mode: int, known: Array, rank: int) -> Array:
        """Return a mask (I_n,) of positions of a mode whose rows it determines, beside those that data do."""
        is_own = self.scale > 0 and mode == (self.mode if self.number is None else self.number)
        return self._determined(known, rank) if is_own else np.zeros_like(known)

    def _determined(self, known: Array, rank: int) -> Array:
        """Return a mask (I_n,) of positions of its own mode whose rows it determines."""
        return np.ones_like(known)

    def taken(self, positions: Sequence[Array | None]) -> Penalty:
        """Return the penalty for factors of which some rows were taken, by mode; None stands for all in order."""
        own = None if self.mode is None else positions[self._number(len(positions))]
        return self if own is None else self._taken(own)

    def _taken(self, positions: Array) -> Penalty:
        """Return the penalty for these rows (k,) of its mode's factor."""
        return self


class ComponentQuadratic(ModePenalty):
    """(strength / 2) * unit * sum over r of a_r' M a_r * product over the other modes of the mean squares of b_kr.

    It is quadratic in each factor alone, and the same for equal models: a component's scale may be in any factor.
    """

    def times(self, a: FloatArray) -> FloatArray:
        """Return M a of the mode's factor (I, R)."""
        raise NotImplementedError

    def matrix_of(self, size: int) -> Any:
        """Return M, shape (size, size), dense or sparse; None is the identity."""
        raise NotImplementedError

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        n = self._number(len(factors))
        own = self._squares(np.asarray(factors[n], dtype=float))
        return 0.5 * self.scale * float(own @ _product(_mean_squares(factors), n))

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        n, means = self._number(len(factors)), _mean_squares(factors)
        a = np.asarray(factors[n], dtype=float)
        grad[n][:] += self.scale * _product(means, n) * self.times(a)
        squares = self._squares(a)
        for k, b in enumerate(factors):
            if k != n:
                grad[k][:] += self._strengths_beside(squares, means, n, k, len(b)) * b

    def quadratic(self, mode: int, factors: Factors) -> FactorQuadratic | None:
        """Return the penalty as a function of one mode's factor (I_n, R), the others fixed."""
        n, means = self._number(len(factors)), _mean_squares(factors)
        a = np.asarray(factors[n], dtype=float)
        if mode == n:
            return FactorQuadratic(self.scale * _product(means, n), None, self.matrix_of(len(a)))
        strengths = self._strengths_beside(self._squares(a), means, n, mode, len(factors[mode]))
        return FactorQuadratic(strengths)

    def information(self, factors: Factors) -> FloatArray:
        """Return J' M J of the components, with J the derivatives of their entries, shape (R, sum I_n, sum I_n)."""
        return self._between(factors, 1.0)

    def component_hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives within each component, shape (R, sum of I_n, sum of I_n)."""
        return self._between(factors, 2.0)

    def _between(self, factors: Factors, across: float) -> FloatArray:
        """Return second derivatives within modes, and `across` times J' M J between them."""
        n, means = self._number(len(factors)), _mean_squares(factors)
        arrays = [np.asarray(a, dtype=float) for a in factors]
        a, cuts = arrays[n], np.cumsum([0, *map(len, arrays)])
        squares, times = self._squares(a), self.times(a)
        found = np.zeros((a.shape[1], cuts[-1], cuts[-1]))
        for r, total in enumerate(found):
            for k, b in enumerate(arrays):
                at = slice(cuts[k], cuts[k + 1])
                if k == n:
                    total[at, at] = _product(means, n)[r] * self.matrix_of_column(r, len(a))
                    continue
                total[at, at] = np.eye(len(b)) * squares[r] * _product(means, n, k)[r] / len(b)
                along = across * times[:, [r]] * b[:, r] * _product(means, n, k)[r] / len(b)
                own = slice(cuts[n], cuts[n + 1])
                total[own, at], total[at, own] = along, along.T
                for m in range(k):
                    if m != n:
                        other = slice(cuts[m], cuts[m + 1])
                        share = across * squares[r] * _product(means, n, k, m)[r] / (len(b) * len(arrays[m]))
                        total[other, at] = share * np.outer(arrays[m][:, r], b[:, r])
                        total[at, other] = total[other, at].T
        return self.scale * found

    def matrix_of_column(self, r: int, size: int) -> FloatArray:
        """Return M of a column, shape (size, size)."""
        return self.times(np.eye(size))

    def _squares(self, a: FloatArray) -> FloatArray:
        """Return a_r' M a_r of the mode's factor (I, R), shape (R,), which rounding must not make negative."""
        return np.maximum(np.sum(a * self.times(a), axis=0), 0.0)

    def _strengths_beside(
        self, squares: FloatArray, means: list[FloatArray], n: int, k: int, size: int
    ) -> FloatArray:
        """Return the strengths (R,) of the ridge that it is on another mode's factor (size, R)."""
        return np.asarray(self.scale / size * squares * _product(means, n, k))


def _mean_squares(factors: Factors) -> list[FloatArray]:
    """Return mean squares of the columns of each factor, shapes (R,)."""
    return [np.mean(np.square(a, dtype=float), axis=0) for a in factors]


def _product(means: list[FloatArray], *besides: int) -> FloatArray:
    """Return the product (R,) of numbers (R,) of all modes but some."""
    found = np.ones_like(means[0])
    for k, mean in enumerate(means):
        if k not in besides:
            found = found * mean
    return found
