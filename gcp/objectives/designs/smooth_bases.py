"""Bases that read coordinates, numbers or dates: splines, monotone splines, waves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.base.label_dates import as_dates
from gcp.base.types import Array, FloatArray
from gcp.objectives.designs.base import Basis, as_design

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False, repr=False)
class SmoothBasis(Basis):
    """A basis of functions of one number; dates are numbers of days.

    Attributes
    ----------
    ends : (float, float) or None
        Where the functions begin and end; None is not settled, or there is no end.
    has_dates : bool
        Whether coordinates are dates, days since 1970.
    """

    ends: tuple[float, float] | None = None
    has_dates: bool = False

    def settled(self, labels: Array | None, size: int, mode: str) -> Self:
        """Return the basis with the ends of the coordinates, unless it has some, and whether these are dates."""
        coordinates = np.arange(size) if labels is None else labels
        own: Self = replace(self, has_dates=coordinates.dtype.kind == "M")
        if self.ends is not None and own.has_dates != self.has_dates:
            kinds = ("dates", "numbers") if self.has_dates else ("numbers", "dates")
            raise ParameterError(
                f"design of {mode!r}: the ends of {self} are {kinds[0]}, but the mode has {kinds[1]} as coordinates."
            )
        return own._over(own.numbers(coordinates, mode), mode)

    def of_labels(self, labels: Array, mode: str) -> Any:
        """Return the functions' values (n, K) at coordinates (n,)."""
        return as_design(self._values(self.numbers(labels, mode), mode))

    def numbers(self, labels: Array, mode: str) -> FloatArray:
        """Return coordinates (n,) as numbers."""
        labels = np.asarray(labels)
        if self.has_dates and labels.dtype.kind in "UTO":
            labels = np.asarray(as_dates(labels, np.zeros(1, "M8[D]")))
        if labels.dtype.kind == "M" and self.has_dates:
            found = (labels - np.datetime64(0, "D")) / _DAY
        elif labels.dtype.kind == "m" and not self.has_dates:
            found = labels / _DAY
        elif labels.dtype.kind in "iuf" and not self.has_dates:
            found = labels.astype(float)
        else:
            expected = "dates" if self.has_dates else "numbers or dates"
            few = ", ".join(map(str, labels[:3].tolist()))
            raise ParameterError(
                f"design of {mode!r}: {self} needs coordinates that are {expected}: found {labels.dtype} ({few}). "
                "Label the mode by numbers or by numpy.datetime64, or use groups(...) or features(...)."
            )
        if not np.isfinite(found).all():
            raise ParameterError(f"design of {mode!r}: a coordinate is missing (NaN or NaT).")
        return np.asarray(found, dtype=float)

    def _over(self, x: FloatArray, mode: str) -> Self:
        """Return the basis over these coordinates (n,) of the fit."""
        if self.ends is None:
            if x.min() == x.max():
                raise ParameterError(
                    f"design of {mode!r}: {self} needs at least two different coordinates: found {show(float(x[0]))} "
                    "alone. Give ends=(low, high), or leave the design out."
                )
            return replace(self, ends=(float(x.min()), float(x.max())))
        self._check_inside(x, mode)
        return self

    def _check_inside(self, x: FloatArray, mode: str) -> None:
        """Raise if coordinates (n,) lie beyond the ends, where splines know nothing."""
        assert self.ends is not None
        low, high = self.ends
        beyond = x[(x < low) | (x > high)]
        if beyond.size:
            raise ParameterError(
                f"design of {mode!r}: {self._shown(float(beyond[0]))} lies beyond the ends of {self}, where a spline "
                "is not defined: fit with ends=(low, high) that hold all coordinates, or with fourier(...)."
            )

    def _shown(self, x: float) -> str:
        if not self.has_dates:
            return repr(x)
        date = np.datetime64(round(x * 86_400_000_000), "us")
        return repr(str(date.astype("M8[D]") if x.is_integer() else date))

    def _call(self, name: str, *arguments: str) -> str:
        """Return the call of `gcp.designs` that makes the basis, with its ends once they are settled."""
        ends = [] if self.ends is None else [f"ends=({', '.join(map(self._shown, self.ends))})"]
        return f"{name}({', '.join([*arguments, *ends])})"

    def _values(self, x: FloatArray, mode: str) -> Any:
        """Return the functions' values (n, K) at numbers (n,)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class BSpline(SmoothBasis):
    """B-splines with equally spaced knots; see `gcp.designs.bspline`."""

    n: int = 0
    degree: int = 3
    cyclic: bool = False

    @property
    def column_names(self) -> list[str]:
        """Numbers of the splines."""
        return [f"spline {k}" for k in range(self.n)]

    def __repr__(self) -> str:
        degree = [] if self.degree == 3 else [f"degree={self.degree}"]
        return self._call("bspline", str(self.n), *degree, *(["cyclic=True"] if self.cyclic else []))

    def _over(self, x: FloatArray, mode: str) -> Self:
        """Return the basis over these coordinates (n,); a cycle ends one step beyond the last."""
        if not self.cyclic:
            return super()._over(x, mode)
        if self.ends is not None:
            return self
        low, high = super()._over(x, mode).ends  # type: ignore[misc]
        return replace(self, ends=(low, high + float(np.median(np.diff(np.unique(x))))))

    def _values(self, x: FloatArray, mode: str) -> Any:
        """Return the splines' values (n, K) at numbers (n,)."""
        assert self.ends is not None
        if not self.cyclic:
            self._check_inside(x, mode)
            return _clamped(x, self.n, self.degree, self.ends)
        from scipy.interpolate import BSpline as Spline
        from scipy.sparse import csr_array

        low, high = self.ends
        step = (high - low) / self.n
        knots = low + step * np.arange(-self.degree, self.n + self.degree + 1)
        inside = np.clip(low + np.mod(x - low, high - low), low, knots[-self.degree - 1])
        wide = Spline.design_matrix(inside, knots, self.degree).tocoo()
        return csr_array((wide.data, (wide.row, wide.col % self.n)), shape=(len(x), self.n))


@dataclass(frozen=True, eq=False, repr=False)
class Monotone(SmoothBasis):
    """A constant and I-splines, which increase from 0 to 1; see `gcp.designs.monotone`."""

    n: int = 0

    @property
    def column_names(self) -> list[str]:
        """The constant, and numbers of the splines."""
        return ["constant", *(f"rise {k}" for k in range(1, self.n))]

    def __repr__(self) -> str:
        return self._call("monotone", str(self.n))

    def _values(self, x: FloatArray, mode: str) -> Any:
        """Return sums of the B-splines from each one on, values (n, K) at numbers (n,)."""
        assert self.ends is not None
        self._check_inside(x, mode)
        splines = _clamped(x, self.n, min(3, self.n - 1), self.ends).toarray()
        found = np.cumsum(splines[:, ::-1], axis=1)[:, ::-1]
        found[:, 0] = 1.0
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Fourier(SmoothBasis):
    """A constant, and cosines and sines of a period; see `gcp.designs.fourier`."""

    period: float = 0.0
    n_harmonics: int = 0

    @property
    def column_names(self) -> list[str]:
        """The constant, and each wave by its kind and number."""
        waves = (f"{wave} {k}" for k in range(1, self.n_harmonics + 1) for wave in ("cos", "sin"))
        return ["constant", *waves]

    def __repr__(self) -> str:
        return self._call("fourier", repr(self.period), str(self.n_harmonics))

    def _over(self, x: FloatArray, mode: str) -> Self:
        """Return the basis as it is, which has no ends."""
        return self

    def _values(self, x: FloatArray, mode: str) -> Any:
        """Return the waves' values (n, K) at numbers (n,)."""
        turns = 2 * np.pi * np.mod(x, self.period) / self.period
        columns = [np.ones(len(x))]
        for k in range(1, self.n_harmonics + 1):
            columns += [np.cos(k * turns), np.sin(k * turns)]
        return np.column_stack(columns)


def _clamped(x: FloatArray, n: int, degree: int, ends: tuple[float, float]) -> Any:
    """Return the values (len(x), n) of B-splines whose knots are equally spaced between the ends."""
    from scipy.interpolate import BSpline as Spline

    low, high = ends
    inner = np.linspace(low, high, n - degree + 1)
    knots = np.concatenate([np.full(degree, low), inner, np.full(degree, high)])
    return Spline.design_matrix(x, knots, degree)
