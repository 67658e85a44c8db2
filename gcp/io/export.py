"""Models as other packages have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.checks import show, text, truth
from gcp.base.errors import DataError, ParameterError
from gcp.base.named_arrays import library_of
from gcp.base.types import Array, FloatArray
from gcp.objectives.model import Model

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class ExportedModel(Model):
    """A model that other packages can have."""

    def to_frames(self, *, fitted: bool = False) -> dict[str, pd.DataFrame]:
        """Return each factor as a pandas DataFrame: rows by the mode's coordinates, columns by component.

        With `fitted`, they are those of `fitted_factors`, within their bounds, instead of columns of norm 1.

        A mode with main effects has them in a last column, "main_effect". Positions that nothing determines (see
        `unknown`) are NaN.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ParameterError('to_frames needs pandas: pip install "gcp-tensor[tables]".') from None
        columns = pd.RangeIndex(self.rank, name="component")
        frames = {}
        factors = self.fitted_factors if truth("fitted", fitted) else self.factors
        if len(factors) != len(self.shape):
            raise ParameterError("The result is from a file that gcp wrote before it kept fitted factors.")
        for n, (name, a) in enumerate(zip(self.labels.names, factors, strict=True)):
            index = pd.Index(self.labels.values(n, len(a)), name=name)
            frames[name] = pd.DataFrame(self.marked(name, a), index=index, columns=columns)
            if name in self.main_effects:
                frames[name]["main_effect"] = self.marked(name, self.main_effects[name])
        return frames

    def to_xarray(self) -> dict[str, xr.DataArray]:
        """Return each factor as an xarray DataArray: the mode's coordinates by component.

        Also "weights", and "main_effect_<mode>" for modes with main effects, whose attribute "intercept" is that of
        the model. Positions that nothing determines are NaN, as in `to_frames`. Units are attributes, of coordinates
        ("units") and of "weights" ("data_units").
        """
        try:
            import xarray as xr
        except ImportError:
            raise ParameterError('to_xarray needs xarray: pip install "gcp-tensor[xarray]".') from None
        components, labels = np.arange(self.rank), self.labels
        arrays = {"weights": xr.DataArray(self.weights, {"component": components}, ("component",))}
        if labels.data_units is not None:
            arrays["weights"].attrs["data_units"] = labels.data_units

        def coordinate(n: int) -> xr.Variable:
            attributes = {} if (units := labels.units[n]) is None else {"units": units}
            return xr.Variable((labels.names[n],), labels.values(n, self.shape[n]), attributes)

        for n, (name, a) in enumerate(zip(labels.names, self.factors, strict=True)):
            coords = {name: coordinate(n), "component": components}
            arrays[name] = xr.DataArray(self.marked(name, a), coords, (name, "component"), name=name)
        for name, vector in self.main_effects.items():
            coords = {name: coordinate(labels.names.index(name))}
            attributes = {"intercept": self.intercept}
            values = self.marked(name, vector)
            arrays[f"main_effect_{name}"] = xr.DataArray(values, coords, (name,), attrs=attributes)
        return arrays

    def to_pyttb(self) -> Any:
        """Return the model as a pyttb ktensor; main effects and the intercept as further components.

        The other way, a ktensor is taken wherever a model is: ``fit_gcp(init=...)``, `gcp.analysis`.
        """
        try:
            import pyttb
        except ImportError:
            raise ParameterError("to_pyttb needs pyttb: pip install pyttb.") from None
        weights, factors = self.cp
        own: list[FloatArray] = [np.array(a, dtype=float) for a in factors]
        return pyttb.ktensor(own, np.array(weights, dtype=float))

    def to_anndata(self, adata: Any, key: str = "gcp") -> Any:
        """Return a copy of an AnnData with the model of its cells and genes in it.

        Parameters
        ----------
        adata : anndata.AnnData
            What was fitted, or a part of it, in any order: rows are matched by name with the modes `obs` and `var`.
        key : str
            What the entries are called.

        Returns
        -------
        anndata.AnnData
            With the factor of `obs` times the weights of the components as ``obsm[key]``, shape (cells, R), and that
            of `var` as ``varm[key]``, shape (genes, R): their product ``obsm[key] @ varm[key].T`` is the model, of
            two modes and without main effects. These are columns ``key + "_main_effect"`` of `obs` and `var`.
            Weights, loss and intercept are in ``uns[key]``. Positions that nothing determines are NaN.

        Raises
        ------
        DataError
            Names that the model does not have.
        ParameterError
            No AnnData, or a model without a mode `obs` or `var`.
        """
        text("key", key)
        if library_of(adata) != "anndata":
            raise ParameterError(f"adata must be an AnnData: found {show(adata)}.")
        if not {"obs", "var"} & set(self.labels.names):
            modes = ", ".join(self.labels.names)
            raise ParameterError(f"The model has the modes {modes}: expected one that is called obs or var.")
        found = adata.to_memory() if adata.isbacked else adata.copy()
        tables = {
            "obs": (found.obs_names, found.obsm, found.obs),
            "var": (found.var_names, found.varm, found.var),
        }
        for n, (name, a) in enumerate(zip(self.labels.names, self.factors, strict=True)):
            if name not in tables:
                continue
            names, arrays, frame = tables[name]
            rows = _rows_by_name(self, n, np.asarray(names).astype(str))
            arrays[key] = self.marked(name, a * self.weights if name == "obs" else a)[rows]
            if name in self.main_effects:
                frame[f"{key}_main_effect"] = self.marked(name, self.main_effects[name])[rows]
        found.uns[key] = {"weights": self.weights.copy(), "loss": repr(self.loss)}
        if self.main_effects:
            found.uns[key]["intercept"] = self.intercept
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
