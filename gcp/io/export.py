"""Models as other packages have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.checks import show, text
from gcp.base.errors import DataError, ParameterError
from gcp.base.named_arrays import library_of
from gcp.base.types import Array, FloatArray
from gcp.objectives.model import Model

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def to_frames(model: Model, fitted: bool) -> dict[str, pd.DataFrame]:
    """See `FitResult.to_frames`."""
    try:
        import pandas as pd
    except ImportError:
        raise ParameterError('to_frames needs pandas: pip install "gcp-tensor[tables]".') from None
    columns = pd.RangeIndex(model.rank, name="component")
    frames = {}
    factors = model.fitted_factors if fitted else model.factors
    if len(factors) != len(model.shape):
        raise ParameterError("The result is from a file that gcp wrote before it kept fitted factors.")
    for n, (name, a) in enumerate(zip(model.labels.names, factors, strict=True)):
        index = pd.Index(model.labels.values(n, len(a)), name=name)
        frames[name] = pd.DataFrame(model.marked(name, a), index=index, columns=columns)
        if name in model.main_effects:
            frames[name]["main_effect"] = model.marked(name, model.main_effects[name])
    return frames


def to_xarray(model: Model) -> dict[str, xr.DataArray]:
    """See `FitResult.to_xarray`."""
    try:
        import xarray as xr
    except ImportError:
        raise ParameterError('to_xarray needs xarray: pip install "gcp-tensor[xarray]".') from None
    components, labels = np.arange(model.rank), model.labels
    arrays = {"weights": xr.DataArray(model.weights, {"component": components}, ("component",))}
    if labels.data_units is not None:
        arrays["weights"].attrs["data_units"] = labels.data_units

    def coordinate(n: int) -> xr.Variable:
        attributes = {} if (units := labels.units[n]) is None else {"units": units}
        return xr.Variable((labels.names[n],), labels.values(n, model.shape[n]), attributes)

    for n, (name, a) in enumerate(zip(labels.names, model.factors, strict=True)):
        coords = {name: coordinate(n), "component": components}
        arrays[name] = xr.DataArray(model.marked(name, a), coords, (name, "component"), name=name)
    for name, vector in model.main_effects.items():
        coords = {name: coordinate(labels.names.index(name))}
        attributes = {"intercept": model.intercept}
        values = model.marked(name, vector)
        arrays[f"main_effect_{name}"] = xr.DataArray(values, coords, (name,), attrs=attributes)
    return arrays


def to_pyttb(model: Model) -> Any:
    """See `FitResult.to_pyttb`."""
    try:
        import pyttb
    except ImportError:
        raise ParameterError("to_pyttb needs pyttb: pip install pyttb.") from None
    weights, factors = model.cp
    own: list[FloatArray] = [np.array(a, dtype=float) for a in factors]
    return pyttb.ktensor(own, np.array(weights, dtype=float))


def to_anndata(model: Model, adata: Any, key: str) -> Any:
    """See `FitResult.to_anndata`."""
    text("key", key)
    if library_of(adata) != "anndata":
        raise ParameterError(f"adata must be an AnnData: found {show(adata)}.")
    if not {"obs", "var"} & set(model.labels.names):
        modes = ", ".join(model.labels.names)
        raise ParameterError(f"The model has the modes {modes}: expected one that is called obs or var.")
    found = adata.to_memory() if adata.isbacked else adata.copy()
    tables = {
        "obs": (found.obs_names, found.obsm, found.obs),
        "var": (found.var_names, found.varm, found.var),
    }
    for n, (name, a) in enumerate(zip(model.labels.names, model.factors, strict=True)):
        if name not in tables:
            continue
        names, arrays, frame = tables[name]
        rows = _rows_by_name(model, n, np.asarray(names).astype(str))
        arrays[key] = model.marked(name, a * model.weights if name == "obs" else a)[rows]
        if name in model.main_effects:
            frame[f"{key}_main_effect"] = model.marked(name, model.main_effects[name])[rows]
    found.uns[key] = {"weights": model.weights.copy(), "loss": repr(model.loss)}
    if model.main_effects:
        found.uns[key]["intercept"] = model.intercept
    return found


def _rows_by_name(model: Model, mode: int, names: Array) -> Array:
    """Return, for each of these names, the position (names,) that has it as its label.

    Raises
    ------
    DataError
        A name that the model has not, or has twice.
    """
    labels = model.labels.values(mode, model.shape[mode]).astype(str)
    what = model.labels.names[mode]
    if model.labels.coords[mode] is None and len(names) == len(labels):
        return np.arange(len(names))
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    rows = order[np.minimum(np.searchsorted(ranked, names), len(order) - 1)]
    if (bad := labels[rows] != names).any():
        name = names[np.argmax(bad)]
        raise DataError(
            f"{int(bad.sum()):,} names of {what} are not among the model's, first {str(name)!r}: take a part of the "
            f"AnnData that has those of the model, e.g. adata[adata.{what}_names.isin(result.labels.coords[{mode}])]."
        )
    repeated = np.isin(names, ranked[1:][ranked[1:] == ranked[:-1]])
    if repeated.any() and not np.array_equal(labels, names):
        raise DataError(
            f"{what} has the name {str(names[np.argmax(repeated)])!r} more than once: make names unique."
        )
    return np.arange(len(names)) if np.array_equal(labels, names) else rows
