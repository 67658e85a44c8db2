"""Several tensors that share factors: their fit, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base import checks
from gcp.base.alignment import places_among
from gcp.base.equality import is_same
from gcp.base.errors import FitError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import library_of
from gcp.base.table_result import shown
from gcp.base.types import Array, FloatArray
from gcp.io import coupled_file
from gcp.io.summary import Summary, components_of_factors, in_lines
from gcp.objectives.coupled_problem import CoupledProblem
from gcp.objectives.coupled_rows import NewCoupledRows, transform_together
from gcp.objectives.model import share_in_words
from gcp.objectives.penalties.total import Penalties
from gcp.result import FitResult
from gcp.solvers.starts.coupled_arguments import check_refused, effects_of, losses_of, tensors_of, weights_of
from gcp.solvers.starts.coupled_parameters import ChosenParameters
from gcp.solvers.starts.coupled_search import CoupledSearch
from gcp.solvers.starts.multistart import Starts
from gcp.solvers.starts.plan import Plan
from gcp.solvers.starts.run_coupled import run_coupled
from gcp.tensors.coupled_tensors import CoupledTensors

if TYPE_CHECKING:
    import os

    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class CoupledResult(Mapping[str, FitResult]):
    """The result of a fit of tensors that share factors: for each tensor, by its name, an ordinary `FitResult`.

    ``result["spikes"]`` is a model of that tensor alone, in its own positions: it predicts, is judged by
    `gcp.analysis`, drawn by `gcp.plots` and saved as any other. Component r is the same in all of them. The status,
    the trace and the starts there are those of the whole fit; objectives and deviances are the tensor's own.

    Attributes
    ----------
    factors : dict of str to ndarray, shapes (I_n, R)
        By the name of a mode, its factor: columns of unit norm over the positions of all tensors. Components fall in
        their share of the weights of all tensors; the largest entry of each column is positive in all modes but some
        private ones, which take the signs that are left. A tensor of which all modes are shared has no magnitudes of
        its own: where it has, they are in its model's `weights`.
    labels : ModeLabels
        Names of all modes and their positions, those of the first tensor that has the mode, and then what others have
        besides.
    weights : dict of str to float
        By the name of a tensor, what its loss was multiplied by: 1 / the scale of its dispersion (2 * variance of a
        Gaussian one), 1 of losses without one, or the number that was given. As ``weights=`` they repeat this fit
        without a search for them.
    fitted_factors : dict of str to ndarray, shapes (I_n, R)
        The factors as the solver left them, within their bounds: the model of every tensor is the sum over components
        of products of these.
    unknown : dict of str to ndarray of int, shapes (positions,)
        By the mode's name, the positions whose rows no tensor and no penalty determines.
    of_tensors : dict of str to FitResult
        What this is a mapping to.
    objective, penalty, null_objective, saturated_objective, converged, status, message, n_iter, n_eval
        See `FitResult`; of the weighted sum. After rounds under other weights, of the last.
    projected_gradient_norm, seconds, trace, starts, settings
        See `FitResult`.
    """

    factors: dict[str, FloatArray]
    labels: ModeLabels
    weights: dict[str, float]
    fitted_factors: dict[str, FloatArray]
    unknown: dict[str, Array]
    of_tensors: dict[str, FitResult]
    objective: float
    penalty: float
    null_objective: float
    saturated_objective: float
    converged: bool
    status: str
    message: str
    n_iter: int
    n_eval: int
    projected_gradient_norm: float
    seconds: float
    trace: dict[str, FloatArray]
    starts: Starts
    settings: dict[str, Any]

    def __getitem__(self, name: str) -> FitResult:
        """Return the result of one tensor."""
        if not isinstance(name, str) or name not in self.of_tensors:
            raise ParameterError(
                f"There is no tensor {checks.show(name)}: found {', '.join(self.of_tensors)}."
            )
        return self.of_tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of_tensors)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.of_tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.of_tensors

    @property
    def rank(self) -> int:
        """Number of components."""
        return next(iter(self.factors.values())).shape[1]

    def transform(
        self,
        data: Mapping[str, Any],
        mode: str | int,
        *,
        mask: Mapping[str, Any] | None = None,
        entry_weights: Mapping[str, Any] | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        **carried: Mapping[str, Any] | None,
    ) -> NewCoupledRows:
        """Fit new positions of a mode (subjects, samples) from whatever tensors there are of them.

        Parameters
        ----------
        data : dict of str to array_like, or xarray Dataset
            By the name of a tensor, new data as for `FitResult.transform`: shaped like those of the fit, but of any
            size in the mode. Positions are matched by label, and need not be in all of the tensors.
        mode : str or int
            Name of a mode that these tensors have, or its number among all.
        mask, entry_weights : dict, optional
            By the name of a tensor, as for `FitResult.transform`.
        bounds : (lower, upper), optional
            Of the entries of the rows, None for no bound. By default those of the fit.
        **carried
            ``exposure``, ``offset`` and ``trials``, dicts likewise.

        Returns
        -------
        NewCoupledRows
            ``rows`` of shape (n, R), like those of `factors` of the mode; ``labels``, of the tensors in their order,
            the first seen first; ``lacking``, labels of other modes that new data lack, which count as missing;
            ``effects``, by tensor, main effects of the new positions, shape (n,), of those that have any.

        Raises
        ------
        ParameterError
            A tensor or a mode that the fit did not have.
        DataError
            Data of another shape, or with labels of other modes that their model does not know.

        Notes
        -----
        The minimum of the weighted sum of the tensors' objectives, under the weights and penalties of the fit, over
        those rows alone, found by damped Newton steps row by row. Sparse data are looked at cell by cell.
        """
        mode = self.labels.names[self.labels.number(mode)]
        size = np.sum(self.fitted_factors[mode].astype(float) * self.factors[mode], axis=0)
        beside = {"mask": mask, "entry_weights": entry_weights} | carried
        return transform_together(self.of_tensors, self.weights, size, data, mode, bounds, beside)

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """Return each mode's factor as a pandas DataFrame: rows by the mode's coordinates, columns by component.

        Positions that nothing determines are NaN.
        """
        import pandas as pd

        found = {}
        for n, (name, a) in enumerate(self.factors.items()):
            values = a.astype(float)
            values[self.unknown.get(name, [])] = np.nan
            index = pd.Index(self.labels.values(n, len(a)), name=name)
            found[name] = pd.DataFrame(values, index=index)
        return found

    def summary(self) -> Summary:
        """Return what the fit found, to print or show in a notebook: facts, and the components' largest entries."""
        of_each = zip(*(one.weights for one in self.values()), strict=True)
        weights = [", ".join(f"{weight:.4g}" for weight in own) for own in of_each]
        table = components_of_factors(list(self.factors.values()), self.labels, weights)
        return Summary(self._title(), self._facts(), table, self._notes())

    def _title(self) -> str:
        sizes = ", ".join(f"{len(a)} {self.labels.title(n)}" for n, a in enumerate(self.factors.values()))
        return f"Coupled GCP model of rank {self.rank} of {len(self)} tensors: {sizes}"

    def _facts(self) -> dict[str, Any]:
        own = {
            name: f"{' x '.join(one.labels.names)}, {one.loss.name}, weight {self.weights[name]:.4g}, "
            f"deviance explained {share_in_words(one.training_deviance_explained)}"
            for name, one in self.items()
        }
        return {
            "solver": self.settings["solver"]["method"],
            "starts": len(self.starts),
            "iterations": self.n_iter,
            "objective": f"{self.objective:.8g}",
            "of that penalty": f"{self.penalty:.8g}" if self.penalty else "",
            "seconds": f"{self.seconds:.2f}",
            **own,
        }

    def _notes(self) -> tuple[str, ...]:
        status = f"{'converged' if self.converged else f'not converged ({self.status})'}: {self.message}"
        few = []
        for name, at in self.unknown.items():
            labels = self.labels.values(self.labels.number(name), len(self.factors[name]))
            few.append(f"{len(at)} of {name} ({', '.join(str(shown(labels[k])) for k in at[:5])})")
        return (status, *([f"Nothing is known of {'; '.join(few)}."] if few else []))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to a file (`.npz` without pickle; see docs/result-format.md), which `gcp.load` reads."""
        coupled_file.write_coupled(path, vars(self))

    def __repr__(self) -> str:
        """Return a few lines to read."""
        return in_lines(self._title(), self._facts(), self._notes())

    def _repr_html_(self) -> str:
        """Return the summary as a part of a page, for notebooks."""
        return self.summary()._repr_html_()

    def __post_init__(self) -> None:
        """Make the starts a table."""
        object.__setattr__(self, "starts", Starts(self.starts))

    def __eq__(self, other: object) -> bool:
        """Return whether all fields are equal, bit for bit."""
        if not isinstance(other, CoupledResult):
            return NotImplemented
        return all(is_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def load(path: str | os.PathLike[str], loss: Any = None) -> Any:
    """Read a result that `save` or `gcp fit --out` wrote: a `FitResult`, or a `CoupledResult`.

    Parameters
    ----------
    path : path
    loss : Loss, or dict of str to Loss, optional
        Needed if the fit had a custom loss: a formula is not stored. Of coupled tensors a dict by tensor.

    Raises
    ------
    FormatError
        A file that holds no result of gcp, or one that is damaged.
    """
    path = checks.path("path", path)
    if not (path.is_file() and coupled_file.is_coupled_file(path)):
        return FitResult.load(path, loss)
    found = coupled_file.read_coupled(path, loss)
    own = {name: FitResult(**fields) for name, fields in found["of_tensors"].items()}
    return CoupledResult(**found | {"of_tensors": own})


def is_coupled(data: Any) -> bool:
    """Return whether data are several tensors by name: a dict, or an xarray Dataset."""
    return isinstance(data, dict) or (library_of(data) == "xarray" and hasattr(data, "data_vars"))


def fit_coupled(
    data: Mapping[str, Any],
    rank: int,
    plan: Plan,
    loss: Any,
    weights: Any,
    penalties: Penalties,
    refused: Mapping[str, Any],
    beside: Mapping[str, Any],
    *,
    bounds: Any = None,
    fixed_modes: Any = (),
    main_effects: Any = False,
    n_threads: int | None = None,
) -> CoupledResult:
    """Fit several tensors together; see `fit_gcp`, whose arguments these are.

    `refused` are those that it cannot have, `beside` those that are dicts by tensor.

    Raises
    ------
    ParameterError
        If one of the former is given.
    """
    check_refused(refused)
    tensors = CoupledTensors.of(tensors_of(data, beside))
    losses = losses_of(loss, tuple(tensors.tensors))
    parameters = ChosenParameters(tensors.tensors, losses, rank)
    problem = CoupledProblem.coupling(
        tensors,
        rank,
        parameters.losses,
        weights=weights_of(weights, losses),
        bounds=bounds,
        fixed_modes=fixed_modes,
        main_effects=effects_of(main_effects, tuple(losses)),
        penalties=penalties,
        n_threads=n_threads,
    )
    init = _in_order(plan.init, problem.labels) if isinstance(plan.init, CoupledResult) else plan.init
    seed = checks.seed(None) if plan.seed is None else plan.seed
    found = run_coupled(CoupledSearch(problem, init, plan.solver, plan.n_starts, seed), plan, parameters)
    order = problem.labels.names
    of_tensors = {name: FitResult(**own) for name, own in found.of_tensors.items()}
    result = CoupledResult(
        factors=dict(zip(order, found.models.factors, strict=True)),
        labels=problem.labels,
        weights=dict(found.weights),
        fitted_factors=dict(zip(order, found.models.fitted, strict=True)),
        unknown=found.models.unknown,
        of_tensors=of_tensors,
        **found.fields,
    )
    if isinstance(found.cut, FitError):
        found.cut.result = result
        raise found.cut
    return result


def _in_order(init: CoupledResult, labels: ModeLabels) -> dict[str, FloatArray]:
    """Return the fitted factors of a result, rows in the order of the data's positions."""
    found = dict(init.fitted_factors)
    for n, name in enumerate(labels.names):
        own, there = labels.coords[n], dict(zip(init.labels.names, init.labels.coords, strict=True)).get(name)
        if name not in found or own is None or there is None:
            continue
        at = places_among(own, there)
        if (at < 0).any():
            raise ParameterError(
                f"init: the result has no row for {own[at < 0][0].item()!r} of mode {name!r}."
            )
        found[name] = found[name][at]
    return found
