"""What a fit of coupled tensors minimises, built once from its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.interval import NONNEGATIVE, REAL
from gcp.base.labels import ModeLabels
from gcp.base.sizes import check_factors
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.of_tensors import LossesOfTensors
from gcp.losses.own_dispersion import FreeDispersion
from gcp.losses.several import SeveralLosses
from gcp.objectives.bounds import Bounds, resolve
from gcp.objectives.coupled_objective import CoupledObjective
from gcp.objectives.description import ProblemDescription
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.penalties.base import DataFacts, Penalty
from gcp.objectives.penalties.dirichlet import DirichletPrior
from gcp.objectives.penalties.of_mode import ModePenalty
from gcp.objectives.penalties.of_tensor import OfTensor
from gcp.objectives.penalties.ridge import Ridge
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalty_units import facts_of, resolved
from gcp.objectives.problem import (
    Problem,
    check_penalties,
    described_bounds,
    modes_with_effects,
    with_mode,
)
from gcp.objectives.terms.main_effects import EffectsOfTensors, MainEffects
from gcp.tensors.carried_columns import carried_by
from gcp.tensors.coupled_tensors import CoupledTensors


@dataclass(frozen=True, eq=False)
class CoupledProblem(Problem):
    """Tensors that share factors, a loss for each, and all else that decides one fit.

    Attributes
    ----------
    tensor : CoupledTensors
    loss : LossesOfTensors
    rank, bounds, given_bounds, parametrisation, n_threads
        See `Problem`; of a factor for each mode that some tensor has.
    effect_modes, designs
        Empty.
    penalties : Penalties
        Those of each tensor (`OfTensor`), and those of all factors.
    plain : CoupledObjective
        Without penalties.
    weights : dict of str to float
        By which the objective of each tensor is multiplied.
    given_weights : dict of str to float
        Those that the fit does not choose.
    of_tensors : dict of str to tuple of Penalty
        Of each tensor, the penalties of its own modes, in its units.
    of_all : tuple of Penalty
    effects_of : dict of str to tuple of int
        Of each tensor, in the numbers of its own modes, those with main effects.
    """

    tensor: Any
    loss: LossesOfTensors
    _: KW_ONLY
    plain: CoupledObjective
    weights: Mapping[str, float]
    given_weights: Mapping[str, float]
    of_tensors: Mapping[str, tuple[Penalty, ...]]
    of_all: tuple[Penalty, ...]
    effects_of: Mapping[str, tuple[int, ...]]

    @classmethod
    def coupling(
        cls,
        tensors: CoupledTensors,
        rank: int,
        losses: Mapping[str, Loss],
        *,
        weights: Mapping[str, float],
        bounds: Any = None,
        fixed_modes: Sequence[int | str] = (),
        main_effects: Mapping[str, Any] | None = None,
        penalties: Penalties | None = None,
        n_threads: int | None = None,
    ) -> CoupledProblem:
        """Return the problem that arguments of `fit_gcp` mean; weights are those of tensors that are given one.

        Raises
        ------
        DataError, DomainError
            Data that their loss does not admit.
        ParameterError
            Arguments out of range, or of the wrong shape.
        """
        rank = checks.whole("rank", rank)
        check_factors(rank, tensors.shape)
        losses = {name: _of_tensor(name, losses[name], tensor) for name, tensor in tensors.tensors.items()}
        for name, loss in losses.items():
            _check_loss(name, loss, is_weighted=name in weights)
        parametrisation = Parametrisation.of(fixed_modes, (), tensors.shape, tensors.labels)
        effects_of = {
            name: _effects_of_tensor(name, (main_effects or {}).get(name), tensors, parametrisation)
            for name in losses
        }
        limits = _limits(bounds, tensors, losses, rank)
        plain = CoupledObjective.of(tensors, losses, dict.fromkeys(losses, 1.0), n_threads)
        tensors = plain.tensor
        total = penalties or Penalties()
        given = total.of_components
        of_tensors = {name: _penalties_of(name, plain, k, given) for k, name in enumerate(tensors.tensors)}
        of_all = tuple(one for one in given if not _is_of_modes(one))
        found = cls(
            tensors,
            LossesOfTensors(losses),
            rank,
            (),
            Penalties(effects_ridge=total.effects_ridge),
            limits,
            bounds,
            parametrisation,
            n_threads,
            plain=plain,
            weights={},
            given_weights=dict(weights),
            of_tensors=of_tensors,
            of_all=of_all,
            effects_of=effects_of,
        )
        _check_penalties_apply(given, tensors.labels)
        found = found.with_weights(found.first_weights())
        check_penalties(found.penalties, limits)
        return found

    @cached_property
    def objective(self) -> CoupledObjective:
        """The function of the factors that is minimised."""
        found = replace(self.plain.weighted(self.weights), penalties=self.penalties)
        columns = self.columns_of
        if self.joined_effects is None:
            return found
        own = [(self.own_effects(name), columns[name]) for name in self.loss.by_name]
        return found.with_effects_of(own)

    def own_effects(self, name: str) -> MainEffects | None:
        """Return the main effects of a tensor alone, of its own factors; None without any."""
        modes = self.effects_of[name]
        return MainEffects(modes, self.rank) if modes else None

    @cached_property
    def joined_effects(self) -> EffectsOfTensors | None:
        """The columns of the factors that are main effects of some tensor; None without any."""
        modes: list[int] = []
        firsts = []
        for name, own in self.effects_of.items():
            firsts += [len(modes)] if own else []
            modes += [self.tensor.modes[name][k] for k in own]
        return EffectsOfTensors(tuple(modes), self.rank, tuple(firsts)) if modes else None

    @cached_property
    def columns_of(self) -> dict[str, Array]:
        """Of each tensor, its columns (c,) of the factors: the components, and its main effects."""
        found, first = {}, self.rank
        for name, own in self.effects_of.items():
            found[name] = np.concatenate([np.arange(self.rank), np.arange(first, first + len(own))])
            first += len(own)
        return found

    def with_effects(self) -> tuple[CoupledObjective, Bounds]:
        """Return the objective and the bounds of factors with the columns of main effects, if there are any."""
        effects = self.joined_effects
        if effects is None:
            return self.objective, self.bounds
        sides: tuple[list[FloatArray], list[FloatArray]] = [], []
        for name, own in self.effects_of.items():
            floor = 0.0 if self.loss.by_name[name].model_domain.low >= 0 else -np.inf
            for k in own:
                size = self.tensor.shape[self.tensor.modes[name][k]]
                sides[0].append(np.full(size, floor))
                sides[1].append(np.full(size, np.inf))
        lower, upper = (
            tuple(effects.widened(own, side))
            for own, side in zip((self.bounds.lower, self.bounds.upper), sides, strict=True)
        )
        return self.objective, Bounds(lower, upper)

    @property
    def fitted_losses(self) -> dict[str, Loss]:
        """The loss of each tensor, with its eps in the scale of the data."""
        found = {}
        for (name, asked), part in zip(self.loss.by_name.items(), self.plain.summands, strict=True):
            own = part.objective.loss
            if not (asked.is_standard or asked.kinds):
                own = replace(asked, eps=own.eps) if hasattr(own, "eps") else asked  # type: ignore[type-var]
            found[name] = own
        return found

    def with_weights(self, weights: Mapping[str, float]) -> CoupledProblem:
        """Return the problem with other weights of the tensors, and of their penalties with them."""
        own = [
            OfTensor(penalty, self.tensor.modes[name], weights[name])
            for name, penalties in self.of_tensors.items()
            for penalty in penalties
        ]
        of_components = (*own, *self.of_all)
        total = Penalties(of_components, self.penalties.effects_ridge, self.joined_effects)
        return replace(self, weights=dict(weights), penalties=total)

    def with_losses(self, losses: Mapping[str, Loss]) -> CoupledProblem:
        """Return the problem under other losses, of the same domains, with penalties in their units."""
        plain = CoupledObjective.of(self.tensor, losses, dict.fromkeys(losses, 1.0), self.n_threads)
        of_tensors = {
            name: _in_units(name, plain, k, penalties)
            for k, (name, penalties) in enumerate(self.of_tensors.items())
        }
        loss = LossesOfTensors(dict(losses))
        found = replace(self, loss=loss, plain=plain, of_tensors=of_tensors)
        return found.with_weights(self.weights)

    # --- the weights of tensors ------------------------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[str, ...]:
        """The tensors whose weight the fit chooses: 1 / the scale of their dispersion."""
        every = self.loss.by_name.items()
        return tuple(name for name, loss in every if name not in self.given_weights and _is_dispersed(loss))

    def first_weights(self) -> dict[str, float]:
        """Return the weights to begin with: those of the dispersions of data about their best constant."""
        found = dict.fromkeys(self.loss.by_name, 1.0) | dict(self.given_weights)
        for name, part in zip(self.loss.by_name, self.plain.summands, strict=True):
            if name in self.chosen:
                found[name] = self.weight_of(name, self.mean_deviance(name, part.objective.null_value))
        return found

    def mean_deviance(self, name: str, value: float, total: float | None = None) -> float:
        """Return the mean deviance of a tensor's data, at a value of its objective; by default of all its weight."""
        one = self.plain.summands[list(self.loss.by_name).index(name)].objective
        found = one.loss.deviance_factor * (value - one.saturated_value)
        return max(found, 0.0) / (one.survey.total_weight if total is None else total)

    def weight_of(self, name: str, mean_deviance: float) -> float:
        """Return the weight of a tensor's objective at the dispersion of a mean deviance; 1 where that is 0."""
        loss = self.loss.by_name[name]
        if not mean_deviance > 0:
            return 1.0
        return float(1.0 / loss.density_scale(loss.dispersion_from(mean_deviance)))

    # --- what a result keeps -------------------------------------------------------------------------------------

    def labels_of(self, name: str) -> ModeLabels:
        """Return the labels of one tensor."""
        tensor = self.tensor.tensors[name]
        return tensor.labels or ModeLabels.default(tensor.shape)

    def describe_tensor(self, name: str) -> ProblemDescription:
        """Return what the model of one tensor keeps: penalties are those beside its own objective, of weight 1."""
        modes, positions = self.tensor.modes[name], self.tensor.positions[name]
        labels, tensor, weight = self.labels_of(name), self.tensor.tensors[name], self.weights[name]
        own = [penalty.taken(positions) for penalty in self.of_tensors[name]]
        common = [replace(one, strength=one.strength / weight) for one in self.of_all]  # type: ignore[attr-defined, type-var]
        bounds = described_bounds(self.given_bounds, self.labels)
        if isinstance(bounds, Mapping):
            bounds = {mode: pair for mode, pair in bounds.items() if mode in labels.names}
        elif isinstance(bounds, list) and len(bounds) == len(self.tensor.shape) != 2:
            bounds = [bounds[n] for n in modes]
        return ProblemDescription(
            Penalties((*own, *common), self.penalties.effects_ridge / weight),
            tuple(k for k, n in enumerate(modes) if n in self.parametrisation.fixed),
            effect_modes=self.effects_of[name],
            bounds=bounds,
            carried=carried_by(tensor),
            exposure_name=labels.exposure or "",
            coupled_with=tuple(other for other in self.tensor.tensors if other != name),
        )


def _of_tensor(name: str, loss: Loss, tensor: Any) -> Loss:
    """Return the loss of a tensor, which knows its mode of positions with parameters of their own."""
    try:
        return with_mode(loss, tensor.labels, tensor.shape)
    except ParameterError as error:
        raise ParameterError(f"loss of {name!r}: {error}") from None


def _effects_of_tensor(
    name: str, given: Any, tensors: CoupledTensors, parametrisation: Parametrisation
) -> tuple[int, ...]:
    """Return the modes of a tensor, in its own numbers, that have main effects; True means all that are free."""
    tensor, modes = tensors.tensors[name], tensors.modes[name]
    free = tuple((k,) for k, n in enumerate(modes) if n not in parametrisation.fixed)
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    try:
        return modes_with_effects(given, Parametrisation(len(modes), free), labels, ())
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None


def _check_loss(name: str, loss: Loss, *, is_weighted: bool) -> None:
    """Refuse a loss whose unit nothing weighs."""
    bears_unit = loss.degree != 0 and not loss.data_domain.integer and loss.by is None
    if bears_unit and not is_weighted and not (isinstance(loss, FreeDispersion) or loss.estimable):
        raise ParameterError(
            f"The {loss.name} loss of {name!r} has no dispersion by which its unit could be weighed against other "
            f"tensors: give weights={{{name!r}: ...}}, or take gaussian, or student-t with a scale."
        )


def _is_dispersed(loss: Loss) -> bool:
    return isinstance(loss, FreeDispersion) and loss.by is None


def _limits(bounds: Any, tensors: CoupledTensors, losses: Mapping[str, Loss], rank: int) -> Bounds:
    """Return the bounds of all factors.

    A tensor that needs a nonnegative model needs nonnegative factors of its modes; others' private modes are free,
    and so are positions with a loss of their own that admits any model.
    """
    free = {n: np.ones(size, bool) for n, size in enumerate(tensors.shape)}
    for name, loss in losses.items():
        for n, k in zip(tensors.modes[name], tensors.positions[name], strict=True):
            if isinstance(loss, SeveralLosses) and tensors.labels.names[n] == loss.by:
                rows = np.arange(tensors.shape[n]) if k is None else k
                free[n][rows[loss.nonnegative]] = False
            elif _needs_nonnegative(loss):
                free[n][:] = False
    must = not all(mask.all() for mask in free.values())
    names = " and ".join(dict.fromkeys(loss.name for loss in losses.values() if _needs_nonnegative(loss)))
    shapes = [(size, rank) for size in tensors.shape]
    return resolve(bounds, shapes, NONNEGATIVE if must else REAL, names, tensors.labels, free)


def _needs_nonnegative(loss: Loss) -> bool:
    if loss.kinds:
        return any(kind.model_domain.low >= 0 for kind in loss.kinds)
    return loss.model_domain.low >= 0


def _is_of_modes(penalty: Penalty) -> bool:
    """Return whether a penalty is of what components add to a tensor along a mode."""
    return isinstance(penalty, ModePenalty) and not (isinstance(penalty, Ridge) and penalty.mode is None)


def _check_penalties_apply(given: Sequence[Penalty], labels: ModeLabels) -> None:
    """Refuse penalties that are neither of a mode by name nor ridges or priors on all factors."""
    for penalty in given:
        mode = getattr(penalty, "mode", None)
        if _is_of_modes(penalty):
            if mode is not None and mode not in labels.names:
                raise ParameterError(
                    f"{penalty!r}: coupled tensors have their modes by name, {', '.join(labels.names)}: found "
                    f"{checks.show(mode)}."
                )
        elif not isinstance(penalty, Ridge | DirichletPrior):
            raise ParameterError(
                f"The penalty {type(penalty).__name__} is of the components of one tensor: beside coupled tensors "
                "give penalties of a mode (Ridge, Smooth, Graph, Lasso, Near), l2_reg or dirichlet_reg."
            )


def _penalties_of(
    name: str, plain: CoupledObjective, k: int, given: Sequence[Penalty]
) -> tuple[Penalty, ...]:
    """Return the penalties of one tensor's modes, in units of its loss, for factors with rows for all positions."""
    names = [plain.tensor.labels.names[n] for n in plain.tensor.modes[name]]
    own = tuple(one for one in given if _is_of_modes(one) and getattr(one, "mode", None) in (None, *names))
    return _in_units(name, plain, k, own)


def _in_units(
    name: str, plain: CoupledObjective, k: int, penalties: tuple[Penalty, ...]
) -> tuple[Penalty, ...]:
    """Return penalties of the modes of one tensor, the k-th, in units of its loss."""
    tensors, modes = plain.tensor, plain.tensor.modes[name]
    labels = ModeLabels([tensors.labels.names[n] for n in modes], [tensors.labels.coords[n] for n in modes])
    units = facts_of(plain.summands[k].objective).units
    facts = DataFacts(labels, tuple(tensors.shape[n] for n in modes), units)
    return resolved(Penalties(penalties), facts).of_components
