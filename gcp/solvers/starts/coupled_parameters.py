"""Parameters that losses of coupled tensors leave to the fit: each tensor's own search, one step a round."""

from __future__ import annotations

from collections.abc import Mapping

from gcp.base.errors import GcpError
from gcp.base.types import FloatArray
from gcp.losses.base import Loss
from gcp.objectives.coupled_problem import CoupledProblem
from gcp.objectives.model import Model
from gcp.objectives.problem import Problem
from gcp.objectives.refit_rows import fitted_sizes
from gcp.solvers.starts.coupled_weights import information_of_all
from gcp.solvers.starts.estimate_parameters import steps_towards
from gcp.solvers.starts.parameter_notes import notes_on
from gcp.solvers.starts.repeatable_positions import RepeatablePositions
from gcp.solvers.starts.unknown_parameters import UnknownParameters
from gcp.tensors.kinds import Tensor


class ChosenParameters:
    """The searches for the parameters of losses, as `estimate_parameters` has them for one tensor.

    The weight of such a tensor is 1: the derivative of its likelihood in its parameters, the factors as they are, is
    that of the profile likelihood of all data.

    Parameters
    ----------
    tensors : dict of str to (DenseTensor, SparseTensor or ObservedTensor)
    losses : dict of str to Loss
        As they were asked for.
    rank : int
    """

    def __init__(self, tensors: Mapping[str, Tensor], losses: Mapping[str, Loss], rank: int) -> None:
        self.unknowns = {}
        for name, loss in losses.items():
            try:
                if loss.unknowns:
                    self.unknowns[name] = UnknownParameters.of(Problem.of(tensors[name], rank, loss))
            except GcpError as error:
                raise type(error)(f"{name}: {error}") from error
        self.losses = dict(losses) | {name: own.starting() for name, own in self.unknowns.items()}
        self.steps = {name: steps_towards(own, self.losses[name]) for name, own in self.unknowns.items()}
        self.repeatable = {
            name: RepeatablePositions(own) for name, own in self.unknowns.items() if own.held is not None
        }

    def is_settled(self, problem: CoupledProblem, models: Mapping[str, Model]) -> bool:
        """Return whether all parameters are the likeliest, or what suits dispersions of positions."""
        found = []
        for name, own in self.unknowns.items():
            found.append(self.steps[name].is_settled(own.likelihood(models[name])))
        if self.repeatable:
            told, totals = information_of_all(problem, models)
            for name, search in self.repeatable.items():
                others = _of_others(problem, name, models[name], told[name], totals)
                found.append(search.is_settled(models[name], others))
        return all(found)

    def next(self, models: Mapping[str, Model]) -> dict[str, Loss]:
        """Return the losses of the next round."""
        for name, own in self.unknowns.items():
            free = self.steps[name].next(own.likelihood(models[name]))
            if name in self.repeatable:
                free = self.repeatable[name].moved(free)
            self.losses[name] = own.with_free(self.losses[name], free)
        return dict(self.losses)

    def notes(self, models: Mapping[str, Model]) -> str:
        """Return what is to be said of parameters, in parts of sentences; empty if nothing is."""
        every = {name: notes_on(own, models[name]) for name, own in self.unknowns.items()}
        return "; ".join(f"{name}: {note}" for name, note in every.items() if note)

    def estimated(self, name: str) -> tuple[str, ...]:
        """Return the names of the parameters of a tensor's loss that are estimated."""
        return tuple(self.unknowns[name].loss.unknowns) if name in self.unknowns else ()


def _of_others(
    problem: CoupledProblem,
    name: str,
    model: Model,
    told: list[FloatArray],
    totals: list[FloatArray],
) -> list[FloatArray]:
    """Return what other tensors tell of rows of a model's factors, with columns of norm 1, shapes (I_n, R, R)."""
    found = []
    places = zip(problem.tensor.modes[name], problem.tensor.positions[name], strict=True)
    for (n, k), own, size in zip(places, told, fitted_sizes(model), strict=True):
        others = totals[n][slice(None) if k is None else k] - own
        found.append(others * size[:, None] * size)
    return found
