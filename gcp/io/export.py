"""Models as other packages have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray
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
