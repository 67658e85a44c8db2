"""A quadratic model of an objective around a point, and its minimum within a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp._typing import Array, FloatArray
from gcp.objectives.base import Curvature
from gcp.packing import Packing

_LEAST_RATIO = 0.01
"""A pair must show at least this part of the curvature that the Gauss-Newton matrix has along its step."""

_CG_STEPS = 30
_CG_TOLERANCE = 0.2
_FACES = 8
"""Most sets of active bounds to try in one minimisation."""

_SUFFICIENT = 1e-4
"""Part of the decrease promised by the slope that a search within the box must bring."""

Pair = tuple[FloatArray, FloatArray]


class Quadratic:
    """The matrix B + damping * D of a quadratic model in scaled variables.

    B is the Gauss-Newton matrix, corrected by the BFGS formula for what it misses; D its diagonal.

    Parameters
    ----------
    curvature : Curvature
        In the factors.
    packing : Packing
    scale : ndarray
        Of the variables; the objective's own unit included: B = scale * Gauss-Newton * scale / unit.
    pairs : sequence of (step, excess)
        Steps, and the change of the gradient along each in excess of the Gauss-Newton matrix's.
    """

    def __init__(
        self,
        curvature: Curvature,
        packing: Packing,
        scale: FloatArray,
        unit: float,
        pairs: Sequence[Pair],
    ) -> None:
        self._curvature, self._packing, self._scale, self._unit = curvature, packing, scale, unit
        blocks = [(d, _regular(h)) for d, h in curvature.blocks]
        self._blocks = blocks
        self.diagonal = packing.pack([d * np.diag(h) for d, h in blocks]) * scale**2 / unit
        self.damping = 0.0
        self._correction: tuple[FloatArray, FloatArray] | None = None
        if pairs:
            self._correct(np.array([s for s, _ in pairs]), np.array([e for _, e in pairs]))
        self.corrected = self._correction is not None

    def gauss_newton(self, x: Array) -> FloatArray:
        """The uncorrected matrix times one vector, or several as rows."""
        parts = self._packing.unpack(x * self._scale)
        product = self._curvature.product(parts)
        flat = [p.reshape(*x.shape[:-1], -1) for p in product]
        return np.concatenate(flat, axis=-1) * (self._scale / self._unit)

    def _correct(self, steps: FloatArray, excess: FloatArray) -> None:
        """The compact form of BFGS (Byrd, Nocedal and Schnabel, 1994)."""
        base = self.gauss_newton(steps)
        change = base + excess
        along, before = np.sum(steps * change, axis=1), np.sum(steps * base, axis=1)
        keep = (along > _LEAST_RATIO * before) & (before > 0)
        if not keep.any():
            return
        steps, base, change = steps[keep], base[keep], change[keep]
        mixed = steps @ change.T
        lower = np.tril(mixed, -1)
        middle = np.block([[steps @ base.T, lower], [lower.T, -np.diag(np.diag(mixed))]])
        sides = np.vstack([base, change])
        self._correction = sides, np.linalg.inv(middle)

    def product(self, x: Array) -> FloatArray:
        """B x, without damping."""
        result = self.gauss_newton(x)
        if self.corrected and self._correction is not None:
            sides, inverse = self._correction
            result -= (inverse @ (sides @ x)) @ sides
        return result

    def damped(self, x: Array) -> FloatArray:
        """The whole matrix times x."""
        return self.product(x) + self.damping * self.diagonal * x

    def preconditioner(self) -> list[FloatArray]:
        """Inverses of the R x R matrices of the damped diagonal blocks."""
        return [np.linalg.inv(h + self.damping * np.diag(np.diag(h))) for _, h in self._blocks]

    def precondition(self, inverses: list[FloatArray], x: Array, free: Array) -> FloatArray:
        """The inverse of the damped blocks times x, on the free variables."""
        parts = self._packing.unpack(np.where(free, x, 0.0) / self._scale)
        y = [(v @ inverse) / d for v, inverse, (d, _) in zip(parts, inverses, self._blocks, strict=True)]
        return np.where(free, self._packing.pack(y), 0.0) / self._scale * self._unit


def _regular(h: FloatArray) -> FloatArray:
    """With a diagonal that is nowhere negligible, so that the matrix has an inverse."""
    diagonal = np.diag(h)
    floor = 1e-3 * float(diagonal.mean()) + 1e-300
    return h + np.diag(np.maximum(floor - diagonal, 0.0) + 1e-10 * floor)


def minimize_in_box(
    model: Quadratic, slope: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, float]:
    """The step s that nearly minimises slope's + s'(damped matrix)s / 2 in a box around 0, and that minimum.

    Steps along the scaled gradient, projected to the box, find the active bounds; conjugate gradients minimise
    on the others (as in More and Toraldo, 1991).
    """
    search = _BoxSearch(model, slope, low, high)
    inverses = model.preconditioner()
    bounded = bool(np.isfinite(low).any() or np.isfinite(high).any())
    reference = 0.0
    for _ in range(_FACES):
        before = search.value
        if bounded:
            search.along(-search.grad / ((1.0 + model.damping) * model.diagonal))
        free = ~(((search.s <= low) & (search.grad > 0)) | ((search.s >= high) & (search.grad < 0)))
        direction, reference = _conjugate_gradients(model, inverses, search.grad, free, reference)
        if not direction.any():
            break
        clipped = search.along(direction)
        if not clipped or before - search.value < 0.01 * abs(search.value):
            break
    return search.s, search.value


class _BoxSearch:
    """The current point of a minimisation within a box."""

    def __init__(self, model: Quadratic, slope: FloatArray, low: FloatArray, high: FloatArray) -> None:
        self.model, self.slope, self.low, self.high = model, slope, low, high
        self.s, self.grad, self.value = np.zeros_like(slope), slope, 0.0

    def along(self, direction: FloatArray) -> bool:
        """Move along the projection of a direction until the value falls; true if bounds cut the move short."""
        length = 1.0
        for _ in range(10):
            aim = self.s + length * direction
            s = np.clip(aim, self.low, self.high)
            change = self.model.damped(s)
            value = float(self.slope @ s + 0.5 * (s @ change))
            if value < self.value + _SUFFICIENT * float(self.grad @ (s - self.s)):
                self.s, self.grad, self.value = s, self.slope + change, value
                return bool((aim != s).any())
            length *= 0.3
        return True


def _conjugate_gradients(
    model: Quadratic, inverses: list[FloatArray], grad: FloatArray, free: Array, reference: float
) -> tuple[FloatArray, float]:
    """A step that nearly minimises the model on the free variables, and the size of the first gradient.

    The size is a squared norm; `reference`, if not 0, is the one that the accuracy is relative to.
    """
    x = np.zeros_like(grad)
    r = np.where(free, -grad, 0.0)
    q = z = model.precondition(inverses, r, free)
    size = float(r @ z)
    reference = reference or size
    for _ in range(_CG_STEPS):
        if not size > _CG_TOLERANCE**2 * reference:
            break
        h = np.where(free, model.damped(q), 0.0)
        bend = float(q @ h)
        if not bend > 0:
            break
        x = x + (size / bend) * q
        r = r - (size / bend) * h
        z = model.precondition(inverses, r, free)
        size, last = float(r @ z), size
        q = z + (size / last) * q
    return x, reference
