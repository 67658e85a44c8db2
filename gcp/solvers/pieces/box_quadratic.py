"""The minimum of a convex quadratic within a box around 0, compiled.

Steps along the scaled gradient, projected to the box, find the active bounds; preconditioned conjugate gradients
minimise on the other variables (as in More and Toraldo, 1991).

A model is the tuple (`GramForm`, sides, middle, damping, diagonal, matrices, weights): the Gram form corrected by
- sides' middle sides, plus damping * diagonal; `matrices` and `weights` are the preconditioner's (`block_product`).
"""

from __future__ import annotations

import numpy as np

from gcp.kernels.shared.jit import jit, jit_part
from gcp.kernels.shared.products import FASTMATH, add_scaled, dot
from gcp.solvers.pieces import gauss_newton

_CG_STEPS = 30
_CG_TOLERANCE = 0.2
_CG_STEPS_OF_MATRICES = 120
_CG_TOLERANCE_OF_MATRICES = 0.05
"""Where penalties have a matrix along a mode, of which the preconditioner knows the diagonal alone."""

_FACES = 8
"""Most sets of active bounds to try in one minimisation."""

_SEARCHES = 10
"""Most lengths to try along one direction."""

_SUFFICIENT = 1e-4
"""Part of the decrease promised by the slope that a search within the box must bring."""


@jit
def minimize(model, slope, low, high, bounded):  # type: ignore[no-untyped-def]
    """Return a step s that nearly minimises slope's + s' matrix s / 2 with low <= s <= high, and the minimum.

    All vectors have the shape (n,).
    """
    s, grad, value, reference = np.zeros_like(slope), slope.copy(), 0.0, 0.0
    direction, free = np.empty_like(slope), np.empty(slope.size, np.bool_)
    damping, diagonal = model[3], model[4]
    for _ in range(_FACES):
        before = value
        if bounded:
            for k in range(slope.size):
                direction[k] = -grad[k] / ((1.0 + damping) * diagonal[k]) if diagonal[k] > 0 else 0.0
            value, _ = _search(model, slope, low, high, s, grad, value, direction)
        for k in range(slope.size):
            free[k] = not ((s[k] <= low[k] and grad[k] > 0) or (s[k] >= high[k] and grad[k] < 0))
        moved, reference = _conjugate_gradients(model, grad, free, reference, direction)
        if not moved:
            break
        value, clipped = _search(model, slope, low, high, s, grad, value, direction)
        if not clipped or before - value < 0.01 * abs(value):
            break
    return s, value


@jit_part(fastmath=FASTMATH)
def product(model, x, y):  # type: ignore[no-untyped-def]
    """Compute y = matrix @ x, shapes (n,), with correction and damping."""
    form, sides, middle, damping, diagonal = model[:5]
    gauss_newton.product(form, x, y)
    for k in range(x.size):
        y[k] += damping * diagonal[k] * x[k]
    n_sides = sides.shape[0]
    if n_sides:
        along = np.empty(n_sides)
        for i in range(n_sides):
            along[i] = dot(sides[i], x)
        for i in range(n_sides):
            add_scaled(sides[i], -dot(middle[i], along), y)


@jit_part
def _search(model, slope, low, high, s, grad, value, direction):  # type: ignore[no-untyped-def]
    """Move s along the projection of a direction until the value falls; true if bounds cut the move short.

    Updates `s` and `grad` in place and returns the new value.
    """
    length = 1.0
    trial, change = np.empty_like(s), np.empty_like(s)
    for _ in range(_SEARCHES):
        clipped = False
        for k in range(s.size):
            aim = s[k] + length * direction[k]
            trial[k] = min(max(aim, low[k]), high[k])
            clipped |= trial[k] != aim
        product(model, trial, change)
        found = dot(slope, trial) + 0.5 * dot(trial, change)
        if found < value + _SUFFICIENT * (dot(grad, trial) - dot(grad, s)):
            for k in range(s.size):
                s[k] = trial[k]
                grad[k] = slope[k] + change[k]
            return found, clipped
        length *= 0.3
    return value, True


@jit_part
def _conjugate_gradients(model, grad, free, reference, x):  # type: ignore[no-untyped-def]
    """Find a step x that nearly minimises the model on the free variables; return if it is not 0, and the reference.

    The accuracy is relative to `reference`, the squared norm of the first gradient; 0 takes this one's.
    """
    starts, matrices, weights = model[0].starts, model[5], model[6]
    most, tolerance = _CG_STEPS, _CG_TOLERANCE
    if gauss_newton.has_penalties(model[0].matrices):
        most, tolerance = _CG_STEPS_OF_MATRICES, _CG_TOLERANCE_OF_MATRICES
    r, z, h = np.empty_like(grad), np.empty_like(grad), np.empty_like(grad)
    for k in range(grad.size):
        x[k] = 0.0
        r[k] = -grad[k] if free[k] else 0.0
    gauss_newton.block_product(starts, matrices, weights, r, z)
    _zero_where_not(free, z)
    q, size = z.copy(), dot(r, z)
    if reference == 0.0:
        reference = size
    moved = False
    for _ in range(most):
        if not size > tolerance**2 * reference:
            break
        product(model, q, h)
        _zero_where_not(free, h)
        bend = dot(q, h)
        if not bend > 0:
            break
        moved = True
        add_scaled(q, size / bend, x)
        add_scaled(h, -size / bend, r)
        gauss_newton.block_product(starts, matrices, weights, r, z)
        _zero_where_not(free, z)
        last, size = size, dot(r, z)
        for k in range(q.size):
            q[k] = z[k] + (size / last) * q[k]
    return moved, reference


@jit_part
def _zero_where_not(free, x):  # type: ignore[no-untyped-def]
    for k in range(x.size):
        x[k] = x[k] if free[k] else 0.0
