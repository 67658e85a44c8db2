"""What a fit minimises, built once from the arguments of `fit_gcp`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Unpack

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.interval import NONNEGATIVE, REAL
from gcp.base.labels import ModeLabels
from gcp.base.sizes import check_factors
from gcp.losses.base import Loss
from gcp.losses.several import SeveralLosses
from gcp.objectives import fingerprint
from gcp.objectives.bounds import Bounds, resolve
from gcp.objectives.build import objective_of
from gcp.objectives.description import ProblemDescription
from gcp.objectives.designs.given_designs import Designs, designs_of, maps_of
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.exposed import check_offset
from gcp.objectives.parametrisation import Parametrisation, is_bounded, modes_of
from gcp.objectives.penalties.base import DataFacts
from gcp.objectives.penalties.dirichlet import DirichletPrior
from gcp.objectives.penalties.shorthands import as_arguments
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalty_units import facts_of, resolved
from gcp.objectives.sum_base import SumOfObjectives
from gcp.objectives.sum_objective import NO_EFFECTS
from gcp.objectives.terms.main_effects import MainEffects
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import carried_by
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, loss, rank, terms, penalties, bounds and parametrisation of one fit.

    Attributes
    ----------
    tensor : TensorData
    loss : Loss
        As it was asked for: parameters may be left to the fit.
    rank : int
        Number of components.
    effect_modes : tuple of int
        Modes with main effects.
    penalties : Penalties
    bounds : Bounds
        Of the components, shapes (I_n, R).
    given_bounds : object
        As they were asked for.
    parametrisation : Parametrisation
    n_threads : int or None
    designs : tuple of (int, Basis)
        Of the modes that have one.
    """

    tensor: TensorData
    loss: Loss
    rank: int
    effect_modes: tuple[int, ...]
    penalties: Penalties
    bounds: Bounds
    given_bounds: Any
    parametrisation: Parametrisation
    n_threads: int | None
    designs: Designs = ()

    @classmethod
    def of(
        cls,
        data: Any,
        rank: int,
        loss: Loss,
        *,
        modes: Sequence[str] | None = None,
        mask: Any = None,
        entry_weights: Any = None,
        bounds: Any = None,
        fixed_modes: Sequence[int | str] = (),
        tied_modes: Sequence[Sequence[int | str]] = (),
        main_effects: bool | Sequence[int | str] = False,
        penalties: Penalties | None = None,
        design: Mapping[int | str, Any] | None = None,
        n_threads: int | None = None,
        **carried: Unpack[Carried],
    ) -> Problem:
        """Return the problem that arguments of `fit_gcp` mean.

        Raises
        ------
        DataError
            Unusable data.
        ParameterError
            Arguments out of range, or of the wrong shape.
        """
        tensor = as_tensor(data, mask, entry_weights, modes, **carried)
        check_offset(tensor, loss)
        # before anything has a number for each position: subscripts that are identifiers may be very large
        check_factors(1, tensor.shape)
        penalties = penalties or Penalties()
        parametrisation = Parametrisation.of(fixed_modes, tied_modes, tensor.shape, tensor.labels)
        labels = tensor.labels or ModeLabels.default(tensor.shape)
        designs = designs_of(design, labels, tensor.shape, parametrisation.groups)
        effect_modes = modes_with_effects(main_effects, parametrisation, labels, designs)
        rank = checks.whole("rank", rank, least=0 if effect_modes else 1)
        check_factors(rank, tensor.shape)
        shapes = [(size, rank) for size in tensor.shape]
        loss = with_mode(loss, labels, tensor.shape)
        if loss.kinds:
            tied = {n for group in parametrisation.tied for n in group}
            _check_several(labels.number(loss.by or 0), bool(effect_modes), dict(designs), tied)
        limits = _limits(bounds, shapes, loss, labels)
        if designs:
            are_bounded = [is_bounded(limits, n) for n in range(len(shapes))]
            maps = maps_of(designs, labels, tensor.shape, are_bounded)
            parametrisation = replace(parametrisation, maps=maps)
            parametrisation.bounds(limits)  # raises if the designs cannot keep them
        own = tensor, loss, rank, effect_modes, penalties, limits, bounds, parametrisation, n_threads
        found = cls(*own, designs).with_penalties(penalties)
        check_penalties(found.penalties, limits)
        return found

    @cached_property
    def objective(self) -> EntrywiseObjective | SumOfObjectives:
        """The function of the components' factors that is minimised; the first look takes one pass over the data."""
        return objective_of(self.tensor, self.loss, self.penalties, self.n_threads)

    def with_penalties(self, penalties: Penalties) -> Problem:
        """Return the problem under penalties as its data have them: modes by name, tables, units of strengths.

        Units of a loss with parameters that are left to the fit are those of `with_loss`.
        """
        facts = DataFacts(self.labels, self.tensor.shape, {})
        if resolved(penalties, facts) is penalties or self.loss.unknowns:
            return replace(self, penalties=resolved(penalties, facts))
        plain = vars(self).get("objective") or objective_of(
            self.tensor, self.loss, Penalties(), self.n_threads
        )
        own = resolved(penalties, facts_of(plain))
        found = replace(self, penalties=own)
        vars(found)["objective"] = objective = replace(plain, penalties=own)
        if isinstance(plain, EntrywiseObjective):
            vars(objective)["null_constant"] = plain.null_constant
        return found

    @property
    def fitted_loss(self) -> Loss:
        """The loss with its eps in the scale of the data."""
        own = self.objective.loss
        if self.loss.is_standard or self.loss.kinds:
            return own
        return replace(self.loss, eps=own.eps) if hasattr(own, "eps") else self.loss  # type: ignore[type-var]

    @cached_property
    def effects(self) -> MainEffects | None:
        """The columns of the factors that are main effects; None without any."""
        return MainEffects(self.effect_modes, self.rank) if self.effect_modes else None

    @property
    def labels(self) -> ModeLabels:
        """Names and coordinates of the modes, by default their numbers."""
        return self.tensor.labels or ModeLabels.default(self.tensor.shape)

    @cached_property
    def allows_zeros(self) -> bool:
        """Whether bounds let components vanish."""
        zeros = [np.zeros_like(a) for a in self.bounds.lower]
        return all(np.array_equal(a, b) for a, b in zip(self.bounds.project(zeros), zeros, strict=True))

    def largest_rank(self) -> int:
        """Return the most components whose free parameters are no more than there are cells.

        A component has a scale, and each of its free factors is known up to one.
        """
        maps, shape = dict(self.parametrisation.maps), self.tensor.shape
        modes = [group[0] for group in self.parametrisation.groups]
        sizes = [maps[n].shape[1] if n in maps else shape[n] for n in modes]
        return math.prod(shape) // (sum(sizes) - len(sizes) + 1)

    def foresees(self, mode: int) -> bool:
        """Return whether positions of a mode without data may have rows that mean something.

        They do where its factor is fixed, tied or a linear map of fewer variables, and under a penalty with a centre
        or one that ties rows; but there may be no main effects of the mode.
        """
        tied = {n for group in self.parametrisation.tied for n in group}
        if mode in self.effect_modes:
            return False
        if mode in {*self.parametrisation.fixed, *dict(self.parametrisation.maps), *tied}:
            return True
        ones = [np.ones((size, max(self.rank, 1))) for size in self.tensor.shape]
        forms = [penalty.quadratic(mode, ones) for penalty in self.penalties.of_components]
        return any(form is not None and not (form.matrix is form.centre is None) for form in forms)

    def changed(self, tensor: TensorData, rank: int, penalties: Penalties) -> Problem:
        """Return the problem for other data of the same shape and labels, at another rank, under other penalties.

        Penalties are taken as they are, in whatever units: those of another problem keep theirs.

        Raises
        ------
        ParameterError
            Bounds that are arrays of another rank, or penalties that bounds exclude.
        """
        shapes = [(size, rank) for size in tensor.shape]
        bounds = _limits(self.given_bounds, shapes, self.loss, self.labels)
        check_penalties(penalties, bounds)
        return replace(self, tensor=tensor, rank=rank, penalties=penalties, bounds=bounds)

    def with_loss(self, loss: Loss) -> Problem:
        """Return the same problem under a loss of the same domain, with penalties in its units."""
        return replace(self, loss=loss).with_penalties(self.penalties)

    def of_effects_alone(self) -> Problem:
        """Return the problem of the main effects without components."""
        none = tuple(np.zeros((size, 0)) for size in self.tensor.shape)
        found = replace(self, rank=0, bounds=Bounds(none, none))
        vars(found)["objective"] = (
            self.objective
        )  # which is the same: the data need not be looked through again
        return found

    def with_effects(self) -> tuple[EntrywiseObjective | SumOfObjectives, Bounds]:
        """Return the objective and the bounds of factors with the columns of main effects, if there are any."""
        if self.effects is None:
            return self.objective, self.bounds
        floor = 0.0 if self.loss.model_domain.low >= 0 else -np.inf
        bounds = Bounds(*self.effects.limits(self.bounds.lower, self.bounds.upper, floor))
        return self.objective.with_effects(self.effects), bounds

    def identity(self) -> dict[str, Any]:
        """Return JSON values that tell this problem from others, with a digest of all data.

        Raises
        ------
        ParameterError
            Penalties or bounds that hold functions, which cannot be told apart.
        """
        penalties = as_arguments(self.penalties, has_effects=bool(self.effect_modes))
        designs = {str(n): fingerprint.described(basis) for n, basis in self.designs}
        return {
            **fingerprint.of_data(self.tensor, self.loss),
            "rank": self.rank,
            "bounds": fingerprint.described(self.given_bounds),
            "fixed_modes": list(self.parametrisation.fixed),
            "tied_modes": [list(group) for group in self.parametrisation.tied],
            **{name: fingerprint.described(value) for name, value in penalties.items()},
            "main_effects": list(self.effect_modes),
            **({"design": designs} if designs else {}),
        }

    def describe(self, estimated: Sequence[str] = ()) -> ProblemDescription:
        """Return what a model keeps of the problem."""
        return ProblemDescription(
            self.penalties,
            self.parametrisation.fixed,
            self.parametrisation.tied,
            self.effect_modes,
            described_bounds(self.given_bounds, self.labels),
            tuple(estimated),
            self.designs,
            carried_by(self.tensor),
            self.labels.exposure or "",
        )


def with_mode(loss: Loss, labels: ModeLabels, shape: tuple[int, ...]) -> Loss:
    """Return a loss with the name of the mode whose positions differ, and with what each position has of its own."""
    if loss.by is None:
        return loss
    mode = labels.number(loss.by)
    if isinstance(loss, SeveralLosses):
        return loss.of_positions(labels.names[mode], labels.values(mode, shape[mode]))
    return replace(loss, by=labels.names[mode])  # type: ignore[type-var]


def _check_several(mode: int, has_effects: bool, designed: Collection[int], tied: Collection[int]) -> None:
    """Refuse what several losses, of the positions of a mode, exclude."""
    if has_effects:
        raise ParameterError(NO_EFFECTS)
    if mode in designed:
        raise ParameterError(
            f"The positions of mode {mode} have losses of their own, whose models are in as many units, so that its "
            "rows cannot be those of a design: leave the design of this mode out."
        )
    if mode in tied:
        raise ParameterError(
            f"The positions of mode {mode} have losses of their own, so that it cannot be tied to another mode: "
            "leave tied_modes out."
        )


def _limits(bounds: Any, shapes: Sequence[tuple[int, int]], loss: Loss, labels: ModeLabels) -> Bounds:
    """Return the bounds that arguments and the loss mean.

    Models of some positions that must not be negative need nonnegative factors of all other modes, which all
    positions share; the rows of others are free.
    """
    if not isinstance(loss, SeveralLosses):
        return resolve(bounds, shapes, loss.model_domain, loss.name, labels)
    must = loss.nonnegative
    domain = NONNEGATIVE if must.any() else REAL
    return resolve(bounds, shapes, domain, loss.name, labels, {labels.number(loss.by): ~must})


def modes_with_effects(
    given: bool | Sequence[int | str], parametrisation: Parametrisation, labels: ModeLabels, designs: Designs
) -> tuple[int, ...]:
    """Return the modes that have main effects; True means all that are free."""
    fixed, ndim = parametrisation.fixed, parametrisation.ndim
    if given is None or isinstance(given, bool | np.bool_):
        modes = [n for n in range(ndim) if n not in fixed] if given else []
    else:
        modes = modes_of("main_effects", given, labels)
    if modes and designs:
        raise ParameterError(
            "main_effects cannot be had together with a design: leave them out; a column of ones in the design and "
            "one component more say much the same."
        )
    if modes and not parametrisation.is_plain:
        raise ParameterError("main_effects cannot be had together with tied_modes.")
    if held := sorted(set(modes) & set(fixed)):
        raise ParameterError(f"main_effects: mode {held[0]} is fixed; name free modes only.")
    return tuple(sorted(modes))


def check_penalties(penalties: Penalties, bounds: Bounds) -> None:
    """Raise `ParameterError` if bounds let factors be what a penalty is not for."""
    for penalty in penalties.of_components:
        if reason := penalty.unsuited(bounds.lower):
            raise ParameterError(reason)
    is_free = any(np.any(low < 0) for low in bounds.lower)
    for penalty in penalties.of_components if is_free else ():
        if penalty.needs_nonnegative:
            is_prior = isinstance(penalty, DirichletPrior)
            name = "dirichlet_reg" if is_prior else f"The penalty {type(penalty).__name__}"
            raise ParameterError(f"{name} is for nonnegative factors: use bounds=(0, None), or weight_reg.")


def described_bounds(bounds: Any, labels: ModeLabels) -> Any:
    """Return numbers in lists, those of a dict by the name of the mode, with a word in place of each array."""
    if bounds is None or isinstance(bounds, bool | int | float):
        return bounds
    if isinstance(bounds, np.generic):
        return bounds.item()
    if isinstance(bounds, tuple | list):
        return [described_bounds(item, labels) for item in bounds]
    if isinstance(bounds, Mapping):
        return {
            labels.names[labels.number(mode)]: described_bounds(pair, labels) for mode, pair in bounds.items()
        }
    return "array"
