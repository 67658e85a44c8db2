"""The minimum of a convex quadratic within a box around 0, compiled.

Steps along the scaled gradient, projected to the box, find the active bounds; preconditioned conjugate gradients
minimise on the other variables (as in More and Toraldo, 1991).

A model is the tuple (`GramForm`, sides, middle, damping, diagonal, matrices, weights): the Gram form corrected by
- sides' middle sides, plus damping * diagonal; `matrices` and `weights` are the preconditioner's (`block_product`).
Scratch vectors are made outside.
"""

from __future__ import annotations

from gcp.base.compiler.jit import jit, jit_part
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


N_SCRATCH = 10
"""Number of scratch vectors."""


@jit
def minimize(model, slope, low, high, bounded, scratch):  # type: ignore[no-untyped-def]
    """Find a step s that nearly minimises slope's + s' matrix s / 2 with low <= s <= high; return the minimum.

    All vectors have the shape (n,); `scratch` is of shape (`N_SCRATCH`, n), and its first row becomes the step.
    """
    s, grad, direction, free, vectors = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4:]
    value = reference = 0.0
    damping, diagonal = model[3], model[4]
    for k in range(slope.size):
        s[k], grad[k] = 0.0, slope[k]
    for _ in range(_FACES):
        before = value
        if bounded:
            for k in range(slope.size):
                direction[k] = -grad[k] / ((1.0 + damping) * diagonal[k]) if diagonal[k] > 0 else 0.0
            value, _ = _search(model, slope, low, high, s, grad, value, direction, vectors)
        for k in range(slope.size):
            is_held = (s[k] <= low[k] and grad[k] > 0) or (s[k] >= high[k] and grad[k] < 0)
            free[k] = 0.0 if is_held else 1.0
        moved, reference = _conjugate_gradients(model, grad, free, reference, direction, vectors)
        if not moved:
            break
        value, clipped = _search(model, slope, low, high, s, grad, value, direction, vectors)
        if not clipped or before - value < 0.01 * abs(value):
            break
    return value


@jit_part(fastmath=FASTMATH)
def product(model, x, y, along):  # type: ignore[no-untyped-def]
    """Compute y = matrix @ x, shapes (n,), with correction and damping; `along` (n,) is scratch."""
    form, sides, middle, damping, diagonal = model[:5]
    gauss_newton.product(form, x, y)
    for k in range(x.size):
        y[k] += damping * diagonal[k] * x[k]
    n_sides = sides.shape[0]
    for i in range(n_sides):
        along[i] = dot(sides[i], x)
    for i in range(n_sides):
        add_scaled(sides[i], -dot(middle[i], along[:n_sides]), y)


@jit_part
def _search(model, slope, low, high, s, grad, value, direction, vectors):  # type: ignore[no-untyped-def]
    """Move s along the projection of a direction until the value falls; true if bounds cut the move short.

    Updates `s` and `grad` in place and returns the new value.
    """
    length, trial, change = 1.0, vectors[0], vectors[1]
    for _ in range(_SEARCHES):
        clipped = False
        for k in range(s.size):
            aim = s[k] + length * direction[k]
            trial[k] = min(max(aim, low[k]), high[k])
            clipped |= trial[k] != aim
        product(model, trial, change, vectors[2])
        found = dot(slope, trial) + 0.5 * dot(trial, change)
        if found < value + _SUFFICIENT * (dot(grad, trial) - dot(grad, s)):
            for k in range(s.size):
                s[k] = trial[k]
                grad[k] = slope[k] + change[k]
            return found, clipped
        length *= 0.3
    return value, True


@jit_part
def _conjugate_gradients(model, grad, free, reference, x, vectors):  # type: ignore[no-untyped-def]
    """Find a step x that nearly minimises the model on the free variables; return if it is not 0, and the reference.

    The accuracy is relative to `reference`, the squared norm of the first gradient; 0 takes this one's.
    """
    starts, matrices, weights, product_of_blocks = model[0].starts, model[5], model[6], model[0].functions[0]
    most, tolerance = _CG_STEPS, _CG_TOLERANCE
    if gauss_newton.has_penalties(model[0].matrices):
        most, tolerance = _CG_STEPS_OF_MATRICES, _CG_TOLERANCE_OF_MATRICES
    r, z, h, q = vectors[0], vectors[1], vectors[2], vectors[3]
    for k in range(grad.size):
        x[k] = 0.0
        r[k] = -grad[k] if free[k] > 0.0 else 0.0
    gauss_newton.block_product(product_of_blocks, starts, matrices, weights, r, z)
    _zero_where_not(free, z)
    size = dot(r, z)
    for k in range(q.size):
        q[k] = z[k]
    if reference == 0.0:
        reference = size
    moved = False
    for _ in range(most):
        if not size > tolerance**2 * reference:
            break
        product(model, q, h, vectors[4])
        _zero_where_not(free, h)
        bend = dot(q, h)
        if not bend > 0:
            break
        moved = True
        add_scaled(q, size / bend, x)
        add_scaled(h, -size / bend, r)
        gauss_newton.block_product(product_of_blocks, starts, matrices, weights, r, z)
        _zero_where_not(free, z)
        last, size = size, dot(r, z)
        for k in range(q.size):
            q[k] = z[k] + (size / last) * q[k]
    return moved, reference


@jit_part
def _zero_where_not(free, x):  # type: ignore[no-untyped-def]
    for k in range(x.size):
        x[k] = x[k] if free[k] > 0.0 else 0.0
