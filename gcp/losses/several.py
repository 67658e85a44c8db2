"""Several losses in one tensor: one for each position of a mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from gcp.base import checks
from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.base.interval import Interval
from gcp.base.types import Array
from gcp.losses import registry
from gcp.losses.base import Loss
from gcp.losses.estimable import ESTIMATE, Marginal, Scale, is_estimate
from gcp.losses.of_cells import LossOfCells, domain_of, names_of
from gcp.losses.own_dispersion import FreeDispersion
from gcp.losses.scale_of_positions import ScaleOfPositions

_MOST_NAMES = 8

DEFAULT_KEY = None
"""The key of the loss of all positions that have none of their own."""


class Named(NamedTuple):
    """The loss of one position, by its label."""

    label: Any
    loss: Loss


@dataclass(frozen=True, repr=False)
class SeveralLosses(Loss):
    """One loss for each position of a mode, as for a table whose columns are of different kinds.

    ``loss={"variable": {"age": "gaussian", "visits": "poisson", None: "bernoulli-logit"}}`` means the same as
    ``SeveralLosses("variable", {...})``.

    Parameters
    ----------
    by : int or str
        The mode, by number or name.
    losses : dict, or sequence
        By the label of a position (its number, where the mode has no labels), a loss or its name; the key None is for
        all others. Or one loss for each position.
    balanced : bool
        Whether every loss with a free dispersion (Gaussian, gamma, inverse Gaussian, Tweedie) is divided by that of
        its position, which the fit estimates: the sum is then minus the log-likelihood of all data, but for terms of
        the data alone, and no position wins by its unit. False takes the sum of the losses as they are.
    parameters : sequence of float, optional
        For each position the parameter that is its own: of a loss with a free dispersion its variance, shape or
        dispersion, of others the one that was given as "estimate" (r, gate). Positions without one have 1. By default
        the fit estimates them.

    Notes
    -----
    Every position has a dispersion of its own, even if others have the same loss: a position is a variable, and its
    unit says nothing of another one's. Dispersions are the likeliest beside the model, but where a model of this rank
    could repeat whole positions, as in every matrix, the likelihood would have no end: there they are those for which
    sums of squares are as they are expected beside the parameters that they use up, as in factor analysis.
    """

    by: Any = None
    losses: Any = ()
    balanced: bool = True
    parameters: Any = None

    parameter_by = "parameters"
    instead_of_exposure = "several losses in one tensor take none."

    def __post_init__(self) -> None:
        if isinstance(self.by, bool) or not isinstance(self.by, int | str | np.integer):
            raise ParameterError(f"by must be a mode, by number or name: found {show(self.by)}.")
        checks.truth("balanced", self.balanced)
        given = self.losses
        if isinstance(given, Mapping):
            found: tuple[Any, ...] = tuple(Named(key, _single(key, loss)) for key, loss in given.items())
        else:
            own = checks.items("losses", given, "a dict of losses by label, or a loss for each position")
            found = tuple(one if isinstance(one, Named) else _single(k, one) for k, one in enumerate(own))
        if not found:
            raise ParameterError(f"losses of {self.by!r} is empty: give a loss for each of its positions.")
        object.__setattr__(self, "losses", found)
        for one in found if self.balanced else ():
            _check_unit(one.loss if isinstance(one, Named) else one)
        if not (self.parameters is None or is_estimate(self.parameters)):
            numbers = checks.floats("parameters", self.parameters)
            if numbers.ndim != 1 or not (np.isfinite(numbers).all() and (numbers > 0).all()):
                raise ParameterError(
                    f"parameters must be a positive number for each position: found {show(self.parameters)}."
                )
            object.__setattr__(self, "parameters", tuple(numbers.tolist()))

    # --- positions ----------------------------------------------------------------------------------------------

    def of_positions(self, name: int | str, labels: Array) -> Self:
        """Return the same with a loss for each position of the mode, whose labels are these (I_mode,).

        Raises
        ------
        ParameterError
            Positions without a loss, labels that the mode does not have, or another number of positions.
        """
        losses = self.losses
        if isinstance(losses[0], Named):
            losses = self._matched(name, labels)
        if len(losses) != len(labels):
            raise ParameterError(
                f"{len(losses)} losses for the mode {name!r} of {len(labels)} positions: give one for each."
            )
        found = replace(self, by=name, losses=losses)
        if not found._own.any():
            return replace(found, parameters=None)
        if found.parameters is None:
            return replace(found, parameters=ESTIMATE)
        if not is_estimate(found.parameters) and len(found.parameters) != len(losses):
            raise ParameterError(
                f"{len(found.parameters)} parameters for the mode {name!r} of {len(losses)} positions: give one for "
                "each, 1 where the loss has none."
            )
        return found

    def _matched(self, name: int | str, labels: Array) -> tuple[Loss, ...]:
        """Return the loss of each position of labels (I_mode,); a key is a label, or its text."""
        own = {str(key): loss for key, loss in self.losses if key is not DEFAULT_KEY}
        default = next((loss for key, loss in self.losses if key is DEFAULT_KEY), None)
        if len(own) + (default is not None) < len(self.losses):
            raise ParameterError(f"The losses name a position of mode {name!r} twice: {_few([*own])}.")
        texts = [str(label) for label in labels.tolist()]
        there = set(texts)
        if unknown := [key for key, _ in self.losses if key is not DEFAULT_KEY and str(key) not in there]:
            raise ParameterError(
                f"The losses name positions that mode {name!r} does not have: {_few(unknown)}. It has "
                f"{_few(labels.tolist())}."
            )
        found = [own.get(text, default) for text in texts]
        if lacking := [label for label, loss in zip(labels.tolist(), found, strict=True) if loss is None]:
            raise ParameterError(
                f"{len(lacking)} of the {len(labels)} positions of mode {name!r} have no loss: {_few(lacking)}. "
                "Name them too, or give the key None the loss of all others."
            )
        return tuple(found)  # type: ignore[arg-type]

    @property
    def kinds(self) -> tuple[Loss, ...]:  # type: ignore[override]
        """The different losses."""
        return self._distinct[0]

    @property
    def which(self) -> Array:
        """The loss of each position, as a place in `kinds`, shape (I_mode,)."""
        return self._distinct[1]

    @property
    def _distinct(self) -> tuple[tuple[Loss, ...], Array]:
        self._check_matched()
        kinds: list[Loss] = []
        seen: dict[int, int] = {}  # most are the same object
        places = []
        for loss in self.losses:
            if id(loss) not in seen:
                seen[id(loss)] = kinds.index(loss) if loss in kinds else len(kinds)
                kinds += [loss] if seen[id(loss)] == len(kinds) else []
            places.append(seen[id(loss)])
        return tuple(kinds), np.array(places)

    def _check_matched(self) -> None:
        if isinstance(self.losses[0], Named):
            raise ParameterError(
                f"The losses of mode {self.by!r} are by label: ask the loss of a result, which knows its positions."
            )

    @property
    def n_own(self) -> int:
        """Number of positions with a parameter of their own."""
        return int(self._own.sum())

    def has_own(self, kind: Loss) -> bool:
        """Return whether each position of this loss has a parameter of its own."""
        return bool(kind.unknowns) or (self.balanced and isinstance(kind, FreeDispersion))

    @property
    def _own(self) -> Array:
        """A mask (I_mode,) of positions with a parameter of their own."""
        kinds, which = self._distinct
        return np.array([self.has_own(kind) for kind in kinds])[which]

    def part(self, kind: int, positions: Array | None = None) -> Loss:
        """Return a loss with the parameters of some positions (k,), by default of all; others have one of its own."""
        kinds, which = self._distinct
        loss = kinds[kind]
        if not self.has_own(loss):
            return loss
        self._check_known()
        numbers = np.asarray(self.parameters)
        numbers = np.where(which == kind, numbers, numbers[which == kind][0])
        own = numbers if positions is None else numbers[positions]
        return replace(loss, **{loss.parameter_by: tuple(own.tolist()), "by": self.by})  # type: ignore[type-var]

    def _check_known(self) -> None:
        if self.unknowns:
            raise ParameterError(
                f"The losses of mode {self.by!r} have no parameters until a fit has estimated them: use the loss of "
                "its result."
            )

    def at(self, positions: Array) -> Loss:  # type: ignore[override]
        """Return the loss of cells at these positions of the mode, whose shape data and models broadcast with."""
        kinds, which = self._distinct
        parts = tuple(self.part(k) for k in range(len(kinds)))
        return LossOfCells(parts, which, np.asarray(positions))

    def taken(self, positions: Mapping[str, Array | None]) -> Self:
        """Return the loss of data whose modes, by name, have these positions (k,) of its own; None is all of them."""
        if (chosen := positions[str(self.by)]) is None:
            return self
        numbers = self.parameters
        if isinstance(numbers, tuple):
            numbers = tuple(numbers[k] for k in chosen)
        return replace(self, losses=tuple(self.losses[k] for k in chosen), parameters=numbers)

    # --- parameters that a fit estimates ---------------------------------------------------------------------------

    @property
    def estimable(self) -> Mapping[str, Scale]:  # type: ignore[override]
        """The scales of the parameters, each position's its loss's."""
        kinds, which = self._distinct
        own = [(k, kind) for k, kind in enumerate(kinds) if self.has_own(kind)]
        parts = ((kind.estimable[kind.parameter_by], np.flatnonzero(which == k)) for k, kind in own)
        return {"parameters": ScaleOfPositions(tuple(parts))}

    def kind_at(self, position: int) -> Loss | None:
        """Return the loss of a position if it has a parameter of its own; else None."""
        loss: Loss = self.losses[position]
        return loss if self.has_own(loss) else None

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The parameters of positions, where they are left to the fit."""
        if self.parameters is not None:
            return super().unknowns
        losses = [one.loss if isinstance(one, Named) else one for one in self.losses]
        return (self.parameter_by,) if any(map(self.has_own, losses)) else ()

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return nothing: what all data are like says nothing of one position."""
        return {}

    @property
    def position_moves_mean(self) -> bool:  # type: ignore[override]
        """Whether an estimated parameter of some position moves its mean."""
        return any(kind.position_moves_mean for kind in self.kinds if self.has_own(kind))

    # --- all together --------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:  # type: ignore[override]
        """Those of all losses."""
        return names_of(tuple(one.loss if isinstance(one, Named) else one for one in self.losses))

    @property
    def model_domain(self) -> Interval:  # type: ignore[override]
        """Where some loss admits model values; `nonnegative` says which positions are bounded."""
        return domain_of(self.kinds)

    @property
    def nonnegative(self) -> Array:
        """A mask (I_mode,) of positions whose models must not be negative."""
        kinds, which = self._distinct
        return np.array([kind.model_domain.low >= 0 for kind in kinds])[which]

    @property
    def deviance_factor(self) -> float:  # type: ignore[override]
        """2: that of log-likelihoods, in whose units all losses are."""
        return 2.0

    def refuse_alone(self) -> None:
        """Raise `ParameterError`: cells come without positions."""
        raise ParameterError(
            f"There are several losses, one for each position of {self.by!r}: ask a result, which knows the "
            "positions of cells, or loss.at(positions)."
        )

    def _no_cell(self, *_: Any) -> Any:
        """Raise `ParameterError`, whatever the numbers."""
        self.refuse_alone()

    f = df = d2f = weight = mean = link = saturated_value = sample = _no_cell  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return the losses, one for each position."""
        own = self.losses
        shown = (
            "{" + ", ".join(f"{one.label!r}: {one.loss!r}" for one in own) + "}"
            if isinstance(own[0], Named)
            else repr(own)
        )
        more = "" if self.balanced else ", balanced=False"
        more += "" if self.parameters is None else f", parameters={self.parameters!r}"
        return f"SeveralLosses({self.by!r}, {shown}{more})"


def as_loss(given: Any) -> Loss:
    """Return a loss, the one of a name, or several by the positions of a mode; `ParameterError` of anything else."""
    if not isinstance(given, Mapping):
        return registry.one_loss(given)
    if len(given) != 1:
        raise ParameterError(
            "loss as a dict has one mode, and the losses of its positions: "
            f"loss={{'variable': {{'age': 'gaussian', None: 'poisson'}}}}. Found {show(dict(given))}."
        )
    ((mode, losses),) = given.items()
    if not isinstance(losses, Mapping | list | tuple):
        raise ParameterError(
            f"loss: expected the losses of mode {mode!r} as a dict by label, or one for each position; found "
            f"{show(losses)}."
        )
    return SeveralLosses(mode, losses)


def _single(key: Any, given: Any) -> Loss:
    """Return the loss of a position; refuses those of which none can be one of several."""
    loss = registry.one_loss(given)
    if isinstance(loss, SeveralLosses) or loss.by is not None:
        raise ParameterError(f"The loss of {key!r} must be one loss, without by=...: found {show(loss)}.")
    further = [name for name in loss.unknowns if name != loss.parameter_by]
    if further:
        raise ParameterError(
            f"The {loss.name} loss of {key!r} would have {further[0]} estimated, which among several losses is only "
            f"possible for {loss.parameter_by or 'dispersions'}: give a number."
        )
    return loss


def _check_unit(loss: Loss) -> None:
    """Refuse a loss that grows with the unit of its data and has no dispersion or scale to weigh it by."""
    bears_unit = loss.degree != 0 and not loss.data_domain.integer
    if bears_unit and not (isinstance(loss, FreeDispersion) or loss.estimable):
        raise ParameterError(
            f"The {loss.name} loss has no dispersion by which its unit could be weighed against other losses: take "
            "gaussian, or student-t with a scale; or SeveralLosses(..., balanced=False), which adds losses as they "
            "are, with data in units that make them comparable."
        )


def _few(labels: list[Any]) -> str:
    """Return the first of some labels, for messages."""
    more = f" and {len(labels) - _MOST_NAMES} more" if len(labels) > _MOST_NAMES else ""
    return ", ".join(map(repr, labels[:_MOST_NAMES])) + more
