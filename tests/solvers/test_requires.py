"""What methods need of an objective: they say it, and asking whether one suits builds nothing."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from helpers import random_factors

from gcp import (
    ALS,
    LBFGSB,
    Adam,
    DenseTensor,
    ObservedTensor,
    ParameterError,
    PreconditionedLBFGS,
    RowNewton,
    SampledRowNewton,
    SparseTensor,
    fit_gcp,
    partition,
)
from gcp.base.interval import REAL
from gcp.kernels.listed import row_steps
from gcp.objectives import entrywise
from gcp.objectives.bounds import resolve
from gcp.objectives.build import build_objective
from gcp.objectives.features import Feature
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.solvers import Auto
from gcp.solvers.base import lacking
from gcp.tensors.samplers.control_variate import Controlled

METHODS = (ALS, LBFGSB, Adam, PreconditionedLBFGS, RowNewton, SampledRowNewton, Auto)
SHAPE = (6, 6, 4)


def ones(rng):
    return (rng.random(SHAPE) < 0.3).astype(float)


def sparse(x):
    return SparseTensor(np.argwhere(x), x[x != 0], x.shape)


KINDS = {
    "dense": DenseTensor,
    "missing": lambda x: np.where(np.arange(x.size).reshape(x.shape) % 7 == 0, np.nan, x),
    "sparse": sparse,
    "observed": lambda x: ObservedTensor(np.argwhere(x >= 0)[::2], x.ravel()[::2], x.shape),
    "parts": lambda x: partition(x, 2),
    "vector": lambda x: x[:, 0, 0],
}


def free_problem(data, loss, groups, rng, **options):
    whole = build_objective(data, loss, **options)
    start = [np.abs(a) for a in random_factors(whole.tensor.shape, 2, rng)]
    for group in groups:
        for mode in group:
            start[mode] = start[group[0]]
    return FreeFactors(whole, Parametrisation(len(start), groups), start), [
        start[group[0]] for group in groups
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["gaussian", "poisson", "bernoulli-odds"])
@pytest.mark.parametrize("options", [{}, {"dirichlet_reg": 0.5}], ids=["free", "Dirichlet"])
@pytest.mark.parametrize("is_tied", [False, True], ids=["own", "tied"])
def test_methods_refuse_what_lacks_what_they_require_and_nothing_else(kind, loss, options, is_tied, rng):
    data = KINDS[kind](ones(rng))
    groups = [(n,) for n in range(len(data.shape))]
    if is_tied and len(groups) == 3:
        groups = [(0, 1), (2,)]
    problem, start = free_problem(data, loss, groups, rng, **options)
    bounds = resolve(None if loss != "gaussian" else (None, None), [a.shape for a in start], REAL, loss)
    for method in METHODS:
        message = ""
        try:
            method(n_iter_max=0).solve(problem, start, bounds)
        except ParameterError as error:
            message = str(error)
        assert lacking(method, problem) == message


@pytest.fixture
def built(monkeypatch):
    """What is built of the entries, from now on."""
    found = []

    def watched(owner, name):
        function = getattr(owner, name)

        def record(*arguments, **options):
            found.append(name)
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, record)

    watched(row_steps, "grouped")
    watched(entrywise, "grouped")
    watched(entrywise, "sample")
    watched(Controlled, "__init__")
    return found


@pytest.mark.parametrize("loss", ["poisson", "bernoulli-odds"])
@pytest.mark.parametrize("kind", ["sparse", "observed"])
def test_asking_builds_nothing(kind, loss, rng, built):
    data = KINDS[kind](ones(rng))
    for groups in ([(0,), (1,), (2,)], [(0, 1), (2,)]):
        problem, _ = free_problem(data, loss, groups, rng)
        held = set(vars(problem.objective.tensor))
        for feature in Feature:
            problem.lacks(feature)
        assert set(vars(problem.objective.tensor)) == held
    assert built == []


@pytest.mark.parametrize("kind", ["sparse", "observed"])
def test_no_entries_are_sorted_for_a_method_that_ties_rule_out(kind, rng, built):
    data = KINDS[kind](ones(rng))
    result = fit_gcp(data, 2, loss="poisson", tied_modes=[(0, 1)], random_state=0, n_iter_max=2)
    assert result.settings["solver"]["method"] == "LBFGSB"
    assert built == []


def test_nothing_is_drawn_for_a_method_that_the_loss_rules_out(rng, built, monkeypatch):
    monkeypatch.setattr(
        "gcp.objectives.zero_policy._MOST_CELLS", 10
    )  # as if zeros were too many to be summed
    options = {"random_state": 0, "n_iter_max": 1, "l2_reg": 1.0}
    for loss, method, expected in (
        ("bernoulli-logit", "Adam", {"sample"}),  # no polynomial steadies samples of models of any sign
        ("bernoulli-odds", "SampledRowNewton", {"__init__", "grouped"}),
    ):
        built.clear()
        result = fit_gcp(sparse(ones(rng)), 1, loss=loss, **options)
        assert result.settings["solver"]["method"] == method
        assert set(built) == expected


def test_a_solver_of_a_users_own_is_refused_with_the_reason(rng):
    @dataclass(frozen=True)
    class OnRows(LBFGSB):
        requires: ClassVar[tuple[Feature, ...]] = (Feature.EXACT, Feature.ROWS)

    x = sparse(ones(rng))
    assert fit_gcp(x, 1, loss="poisson", solver=OnRows(n_iter_max=2), random_state=0).n_iter == 2
    with pytest.raises(
        ParameterError, match="closed form for zeros: found sparse data under the bernoulli-odds"
    ):
        fit_gcp(x, 1, loss="bernoulli-odds", solver=OnRows(), random_state=0)
    with pytest.raises(ParameterError, match=r"found tied modes \(0, 1\)"):
        fit_gcp(x, 1, loss="poisson", solver=OnRows(), tied_modes=[(0, 1)], random_state=0)
