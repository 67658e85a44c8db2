"""The core of a Tucker model with the same factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.core_consistency import consistency
from gcp.analysis.plots.frame import axes_or_new, labelled
from gcp.analysis.plots.palette import TEXT_SIZE
from gcp.base.checks import floats
from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

_MOST_CELLS = 80
"""Cells with numbers."""
_MOST_COLUMNS = 1 << 12


def plot_core(core: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw the core as a map of its entries: 1 where all components are the same, and 0 elsewhere, in a CP model.

    Parameters
    ----------
    core : array_like, shape (R, ..., R)
        Of `gcp.analysis.core_tensor`.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Down: the component of the first mode; across: those of the other modes, the last one fastest, with lines between
    blocks of the second. The entries of a CP model have a frame. Colours go to the largest size of an entry, and to 1
    at least.
    """
    values = floats("core", core)
    if values.ndim < 1 or not values.size or len(set(values.shape)) != 1 or not np.isfinite(values).all():
        raise ParameterError(
            f"core must be the finite array (R, ..., R) of gcp.analysis.core_tensor: found shape {values.shape}."
        )
    rank, n_modes = len(values), values.ndim
    flat = values.reshape(rank, -1)
    if flat.shape[1] > _MOST_COLUMNS:
        raise ParameterError(
            f"The core has {flat.shape[1]:,} columns, at most {_MOST_COLUMNS:,} can be drawn."
        )
    ax = axes_or_new(ax, (float(np.clip(0.32 * flat.shape[1] + 1.6, 4.0, 10.0)), 2.6 if n_modes > 1 else 3.6))
    most = max(1.0, float(np.abs(flat).max()))
    image = ax.imshow(flat, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    same = [sum(k * rank**n for n in range(n_modes - 1)) for k in range(rank)]
    for k, column in enumerate(same):
        ax.add_patch(_frame(column, k))
    if flat.size <= _MOST_CELLS:
        for i, j in np.ndindex(*flat.shape):
            ink = "white" if abs(flat[i, j]) > 0.6 * most else "black"
            ax.text(j, i, f"{flat[i, j]:.2f}", ha="center", va="center", fontsize=TEXT_SIZE - 1.5, color=ink)
    if n_modes > 2:
        for block in range(1, rank):
            ax.axvline(block * rank ** (n_modes - 2) - 0.5, color="0.3", lw=0.6)
    ax.set_yticks(range(rank) if rank <= 12 else range(0, rank, 5))
    blocks = rank ** max(n_modes - 2, 0)
    ax.set_xticks([k * blocks + (blocks - 1) / 2 for k in range(rank)] if n_modes > 1 else [])
    ax.set_xticklabels(map(str, range(rank)) if n_modes > 1 else [])
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9)
    bar.ax.tick_params(labelsize=TEXT_SIZE)
    beside = float(np.abs(np.where(_unit(values), 0.0, values)).max())
    own = values[(np.arange(rank),) * n_modes]
    words = (
        f"Core of {rank} components: {own.min():.2f} to {own.max():.2f} where all are the same (1 in a CP model), at "
        f"most {beside:.2f} in size elsewhere (0 in a CP model); core consistency {consistency(values):.1f} percent."
    )
    x = (
        "component in the second mode (within: in the others)"
        if n_modes > 2
        else "component in the second mode"
    )
    title = f"Core, consistency {consistency(values):.1f} %"
    return labelled(ax, x if n_modes > 1 else "", "component in the first mode", title, words)


def _unit(core: FloatArray) -> Array:
    """Return where a CP model has its entries, shape (R, ..., R)."""
    found = np.zeros(core.shape, bool)
    found[(np.arange(len(core)),) * core.ndim] = True
    return found


def _frame(column: int, row: int) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec="black", lw=1.0, clip_on=False, zorder=3)
