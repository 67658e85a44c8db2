"""Models as other packages have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray
from gcp.objectives.model import marked

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gcp.result import FitResult


def to_frames(result: FitResult, fitted: bool) -> dict[str, pd.DataFrame]:
    """See `FitResult.to_frames`."""
    try:
        import pandas as pd
    except ImportError:
        raise ParameterError('to_frames needs pandas: pip install "gcp-tensor[tables]".') from None
    columns = pd.RangeIndex(result.rank, name="component")
    frames = {}
    factors = result.fitted_factors if fitted else result.factors
    if len(factors) != len(result.shape):
        raise ParameterError("The result is from a file that gcp wrote before it kept fitted factors.")
    for n, (name, a) in enumerate(zip(result.labels.names, factors, strict=True)):
        index = pd.Index(result.labels.values(n, len(a)), name=name)
        frames[name] = pd.DataFrame(marked(result, name, a), index=index, columns=columns)
        if name in result.main_effects:
            frames[name]["main_effect"] = marked(result, name, result.main_effects[name])
    return frames


def to_xarray(result: FitResult) -> dict[str, xr.DataArray]:
    """See `FitResult.to_xarray`."""
    try:
        import xarray as xr
    except ImportError:
        raise ParameterError('to_xarray needs xarray: pip install "gcp-tensor[xarray]".') from None
    components = np.arange(result.rank)
    arrays = {"weights": xr.DataArray(result.weights, {"component": components}, ("component",))}
    for n, (name, a) in enumerate(zip(result.labels.names, result.factors, strict=True)):
        coords = {name: result.labels.values(n, len(a)), "component": components}
        arrays[name] = xr.DataArray(marked(result, name, a), coords, (name, "component"), name=name)
    for name, vector in result.main_effects.items():
        n = result.labels.names.index(name)
        coords = {name: result.labels.values(n, len(vector))}
        attributes = {"intercept": result.intercept}
        values = marked(result, name, vector)
        arrays[f"main_effect_{name}"] = xr.DataArray(values, coords, (name,), attrs=attributes)
    return arrays


def to_pyttb(result: FitResult) -> Any:
    """See `FitResult.to_pyttb`."""
    try:
        import pyttb
    except ImportError:
        raise ParameterError("to_pyttb needs pyttb: pip install pyttb.") from None
    weights, factors = result.cp
    own: list[FloatArray] = [np.array(a, dtype=float) for a in factors]
    return pyttb.ktensor(own, np.array(weights, dtype=float))
