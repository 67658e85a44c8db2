"""Standard errors of tensors that share factors: one information matrix, and for each tensor an ordinary table."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gcp.analysis.column_variance import Estimate, component
from gcp.analysis.estimate_search import corrects_bias, find_estimate
from gcp.analysis.fixed_scale import FixedScale
from gcp.analysis.information import Likelihood
from gcp.analysis.joint_likelihood import JointLayout, JointLikelihood
from gcp.analysis.parameter_layout import entangled, has_one_r, of_penalties
from gcp.analysis.shaped_errors import Doubts, shaped_errors
from gcp.analysis.standard_error_table import StandardErrors
from gcp.base.checks import show
from gcp.base.errors import GcpError, ParameterError, UndeterminedWarning
from gcp.base.table_result import Table, Tabular
from gcp.base.types import FloatArray
from gcp.coupled import CoupledResult, is_coupled
from gcp.objectives.known_cells import KnownCells, known_cells, tensor_of
from gcp.tensors.intake.beside_tensors import given_beside

MOST_PARAMETERS = 6000

_MOST_OFF = 1.5
"""How many times the weight of its dispersion a given weight of a tensor may be, or that one it."""


@dataclass(frozen=True, eq=False, repr=False)
class CoupledErrors(Tabular, Mapping[str, StandardErrors]):
    """Standard errors of a coupled fit: for each tensor, by its name, ordinary `StandardErrors` of its own model.

    Those of a shared factor's positions come of the data of all tensors. Columns have norm 1 over the positions that
    the tensor has, as in its `FitResult`.

    Attributes
    ----------
    of_tensors : dict of str to StandardErrors
        What this is a mapping to.
    message : str
        What has no standard errors, and why; empty if nothing is amiss.
    """

    of_tensors: dict[str, StandardErrors]
    message: str

    def __getitem__(self, name: str) -> StandardErrors:
        """Return those of one tensor."""
        if not isinstance(name, str) or name not in self.of_tensors:
            raise ParameterError(f"There is no tensor {show(name)}: found {', '.join(self.of_tensors)}.")
        return self.of_tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of_tensors)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.of_tensors)

    def _facts(self) -> dict[str, Any]:
        return {"tensors": ", ".join(self), "message": self.message}

    def _table(self) -> Table:
        """Return the tables of all tensors, one below the other."""
        tables = {name: own._table() for name, own in self.items()}
        whole = list(tables.values())
        names = np.concatenate([np.full(len(own), name, object) for name, own in tables.items()])
        index = {key: np.concatenate([own.index[key] for own in whole]) for key in whole[0].index}
        columns = {key: np.concatenate([own.columns[key] for own in whole]) for key in whole[0].columns}
        return Table(columns, {"tensor": names, **index})


def coupled_errors(
    result: CoupledResult,
    data: Any,
    beside: Mapping[str, Any],
    bias_correction: bool | Literal["auto"] = "auto",
) -> CoupledErrors:
    """See `standard_errors`; the dispersion of a tensor is that which its weight stands for.

    `beside` are its mask, entry_weights and the like, dicts by tensor.
    """
    layout, theta = JointLayout.of(result)
    if layout.whole.size > MOST_PARAMETERS:
        raise ParameterError(
            f"standard_errors is for at most {MOST_PARAMETERS} parameters: found {layout.whole.size} of all tensors."
        )
    cells = _known(result, data, beside)
    parts = {
        name: Likelihood(own, result[name].numbered_loss, 1 / result.weights[name], layout.own[name])
        for name, own in cells.items()
    }
    likelihood = JointLikelihood(parts, layout)
    of_each = {name: part.information(theta[layout.places[name]]) for name, part in parts.items()}
    of_data, prior = likelihood.summed(of_each), _prior(result, likelihood, theta)
    information = of_data if prior is None else of_data + prior
    corrects = corrects_bias(bias_correction, layout.whole, has_prior=prior is not None)
    held = likelihood.at_bound(theta) if corrects else layout.whole.bound
    section = FixedScale.of(information, layout.whole.free & ~held)
    covariance, estimate = section.covariance(information), None
    if covariance is not None:
        used = {
            name: float(
                np.sum(own * covariance[np.ix_(at, at)])
            )  # degrees of freedom: the trace of their product
            for (name, own), at in zip(of_each.items(), layout.places.values(), strict=True)
        }
        _check_weights(result, cells, used)
        if sum(used.values()) < sum(own.w.sum() for own in cells.values()):
            section, estimate = find_estimate(
                likelihood, section, theta, of_data, information, corrects=corrects
            )
    found = _shaped(result, layout, section, theta, estimate, of_each)
    if found.message:
        warnings.warn(found.message, UndeterminedWarning, stacklevel=3)
    return found


def _known(result: CoupledResult, data: Any, beside: Mapping[str, Any]) -> dict[str, KnownCells]:
    """Return the known cells of each tensor, in the order of its model.

    Raises
    ------
    ParameterError
        Data that lack a tensor, or a loss that is no likelihood.
    """
    if not is_coupled(data) or (lacking := [name for name in result if name not in data]):
        found = f"no {lacking[0]!r} in them" if is_coupled(data) else show(data)
        raise ParameterError(
            f"The data of coupled tensors are a dict of all of them ({', '.join(result)}), as they were for the fit: "
            f"found {found}."
        )
    cells, given = {}, given_beside(beside, tuple(result))
    for name, own in result.items():
        if own.loss.kinds:
            raise ParameterError(
                f"standard_errors knows one loss in a tensor: found several losses in {name!r} ({own.loss.name})."
            )
        if estimated := (*entangled(own), *(["r"] if has_one_r(own) else [])):
            raise ParameterError(
                f"standard_errors of coupled tensors does not know what the estimated {' and '.join(estimated)} of "
                f"{name!r} adds to them: fit again with the loss as found, {{{name!r}: result[{name!r}].loss, ...}}."
            )
        try:
            cells[name] = known_cells(own, tensor_of(own, data[name], **given[name]))
            own.loss_at(cells[name].subs).log_normalizer(cells[name].x)  # raises if there is no likelihood
        except GcpError as error:
            raise type(error)(f"{name}: {error}") from error
    return cells


def _prior(result: CoupledResult, likelihood: JointLikelihood, theta: FloatArray) -> FloatArray | None:
    """Return what penalties of one mode add to the information about theta (P,), shape (P, P)."""
    own = {
        name: of_penalties(one, layout, theta[likelihood.joint.places[name]])
        for (name, one), layout in zip(result.items(), likelihood.joint.own.values(), strict=True)
    }
    known = {name: result.weights[name] * part for name, part in own.items() if part is not None}
    return likelihood.summed(known) if known else None


def _check_weights(result: CoupledResult, cells: Mapping[str, KnownCells], used: Mapping[str, float]) -> None:
    """Raise `ParameterError` of given weights that are no dispersions: they are not what the data say."""
    for name in result.settings["weights"]:
        own, loss, total = cells[name], result[name].loss, float(cells[name].w.sum())
        found = result[name].loss_at(own.subs).estimate_dispersion(own.x, own.m, own.w)
        if found is not None and not (found > 0 and used[name] < total):
            continue
        meant = 1.0 if found is None else 1.0 / float(loss.density_scale(found / (1 - used[name] / total)))
        if not meant / _MOST_OFF < result.weights[name] < meant * _MOST_OFF:
            raise ParameterError(
                "standard_errors takes the weight of a tensor for 1 / the scale of its dispersion: that of "
                f"{name!r} was given as {result.weights[name]:.4g}, but its data say {meant:.4g}; fit without "
                "weights for it."
            )


def _shaped(
    result: CoupledResult,
    layout: JointLayout,
    section: FixedScale,
    theta: FloatArray,
    estimate: Estimate | None,
    of_each: Mapping[str, FloatArray],
) -> CoupledErrors:
    """Return the errors of each tensor; `of_each` is the information (p, p) of its data."""
    doubts = None if estimate is None else _doubts(layout, theta, estimate, of_each)
    found, messages = {}, []
    for name, own in result.items():
        at = layout.places[name]
        part = FixedScale(section.basis[at], section.null[at], section.known[at])
        is_dispersed = own.loss.dispersion_from(1.0) is not None
        dispersion = 1 / (result.weights[name] * own.loss.density_scale(1.0)) if is_dispersed else None
        there = None if estimate is None else _part(estimate, at)
        one = shaped_errors(own, layout.own[name], part, theta[at], there, dispersion, doubts)
        found[name] = one
        if one.message:
            messages.append(f"{name}: {one.message}")
    return CoupledErrors(found, " ".join(messages))


def _part(estimate: Estimate, at: Any) -> Estimate:
    """Return an estimate of some of the parameters."""
    biases = None if estimate.biases is None else estimate.biases[at]
    return Estimate(estimate.theta[at], estimate.covariance[np.ix_(at, at)], biases)


def _doubts(
    layout: JointLayout, theta: FloatArray, estimate: Estimate, of_each: Mapping[str, FloatArray]
) -> Doubts:
    """Return the mean over tensors of what makes components look more different than they are.

    Each counts by how much of a component its data have: the square of the component's entries, in their variance.
    """
    rank, corrects = layout.whole.rank, estimate.biases is not None
    sums, total = np.zeros((2, rank)), np.zeros(rank)
    for name, own in layout.own.items():
        places = layout.places[name]
        part = _part(estimate, places)
        doubts = Doubts.of([component(own, part, r) for r in range(rank)], corrects=corrects)
        at = [own.columns(0, r) for r in range(rank)]
        column = [theta[places[k]] for k in at]
        share = np.array([a @ of_each[name][np.ix_(k, k)] @ a for a, k in zip(column, at, strict=True)])
        sums += share * np.array([np.minimum(doubts.noise, 1.0), doubts.apart])
        total += share
    return Doubts(*(sums / np.where(total > 0, total, 1.0)))
