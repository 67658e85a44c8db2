"""A good call of every public function, class and method: what `test_doors.py` begins from.

Whoever adds a public name adds a line here.
"""

import inspect
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

import gcp
from gcp import DenseTensor, ModeLabels, ObservedTensor, SparseTensor, analysis, datasets, designs, plots
from gcp.analysis.selection import RankChoice
from gcp.base.table_result import TableResult
from gcp.objectives.entrywise import EntrywiseObjective

LOSSES = [
    cls
    for name in gcp.__all__
    if inspect.isclass(cls := getattr(gcp, name)) and issubclass(cls, gcp.Loss) and name != "SeveralLosses"
]

_OF_BASES = ("as_json", "of_coordinates", "of_labels", "settled")

EXEMPT = {
    "FitResult.marked": "for exports and pictures",
    "Loss": "abstract",
    "FitResult": "made by fits",
    "CoupledResult": "made by fits",
    "analysis.CoupledErrors": "made by `standard_errors`",
    "designs.Basis": "abstract",
    **dict.fromkeys([f"designs.Basis.{of}" for of in _OF_BASES], "for objectives"),
    "SparseTensor.with_cells": "for objectives",
    "PartitionedTensor": "made by `partition`",
    # The loss as kernels and objectives see it, whose arguments are theirs.
    **dict.fromkeys(
        (
            "Loss.constant",
            "Loss.dispersion_from",
            "Loss.softened",
            "Loss.with_scale",
            "Loss.with_spread",
            "Loss.f",
            "Loss.df",
        ),
        "for objectives",
    ),
    **dict.fromkeys(
        (
            "Loss.kind_at",
            "Loss.parameter_of",
            *(f"SeveralLosses.{of}" for of in ("has_own", "of_positions", "part")),
        ),
        "for objectives",
    ),
    **dict.fromkeys(("Loss.d2f", "Loss.weight", "Loss.standard_entries"), "for objectives"),
    **dict.fromkeys(
        ("Loss.at", "Loss.taken", "Loss.starting", "FitResult.loss_at"), "for fits and judgements"
    ),
    **dict.fromkeys([f"GCP.set_{of}_request" for of in ("fit", "score", "transform")], "scikit-learn's"),
}
"""What has no arguments of a user's: the constructors of outcomes, and what objectives alone call."""

if find_spec("anndata") is None:
    EXEMPT["FitResult.to_anndata"] = "takes what anndata makes, which is not installed"

INNER = {
    "account",
    "blocks",
    "changed",
    "contract",
    "groups",
    "known_cells",
    "known_weights",
    "loss_and_mttkrps",
    "loss_mttkrps_and_marginals",
    "map",
    "model_values",
    "of",
    "of_dense",
    "of_rows",
    "part",
    "part_of",
    "remapped",
    "shape_score",
    "shape_terms",
    "slab",
    "slice_costs",
    "solve",
    "start_account",
    "subscript",
    "summed",
    "weighted",
    "weights_at",
    "with_columns",
    "with_values",
    "with_weights",
    "without",
}
"""Methods of tensors and solvers that objectives call in every evaluation, with what they have checked."""


class Call(NamedTuple):
    """A function with good arguments."""

    function: object
    arguments: dict


def public_names():
    """Every public function, class and method by name; methods of losses once, as those of `Loss`."""
    found = {}
    for module in (gcp, analysis, datasets, designs, plots):
        prefix = "" if module is gcp else module.__name__.removeprefix("gcp.") + "."
        for name in getattr(module, "__all__", vars(module)):
            thing = getattr(module, name)
            if name.startswith("_") or inspect.ismodule(thing) or not callable(thing):
                continue
            if module is datasets and getattr(thing, "__module__", "") != "gcp.datasets":
                continue
            if inspect.isclass(thing) and issubclass(thing, BaseException):
                continue
            found |= {prefix + name: thing}
    for name, thing in list(found.items()):
        if inspect.isclass(thing):
            found |= _methods(name, thing)
            if issubclass(thing, tuple | TableResult):
                del found[name]  # an outcome
    found |= _methods("RankChoice", RankChoice) | {
        "EntrywiseObjective.value_and_grad": EntrywiseObjective.value_and_grad
    }
    return {name: thing for name, thing in found.items() if name not in EXEMPT and _takes_arguments(thing)}


def _takes_arguments(thing):
    return any(name != "self" for name in inspect.signature(thing).parameters)


def _methods(name, cls):
    found = {}
    for attribute in dir(cls):
        owner = next((base for base in cls.__mro__ if attribute in vars(base)), None)
        if attribute.startswith("_") or owner is None or not owner.__module__.startswith("gcp"):
            continue
        method = getattr(cls, attribute)
        if not callable(method) or inspect.isclass(method):
            continue
        if attribute in INNER and not issubclass(cls, gcp.FitResult):
            continue
        is_loss = issubclass(cls, gcp.Loss) and hasattr(gcp.Loss, attribute)
        found[f"{'Loss' if is_loss else name}.{attribute}"] = method
    return found


COUNTS = np.array(
    [[[2, 0], [1, 3], [0, 1]], [[4, 1], [0, 2], [1, 0]], [[1, 1], [3, 0], [2, 5]], [[0, 2], [1, 1], [6, 1]]]
)
LABELS = ModeLabels(["who", "what", "when"], [["a", "b", "c", "d"], None, [2001, 2002]])
SUBS = np.argwhere(COUNTS)
VALUES = COUNTS[COUNTS > 0]
OPTIONS = {"n_iter_max": 5, "random_state": 0, "n_threads": 1}


@cache
def dense():
    return DenseTensor(COUNTS, labels=LABELS)


@cache
def sparse():
    return SparseTensor(SUBS, VALUES, COUNTS.shape)


@cache
def observed():
    return ObservedTensor(SUBS, VALUES, COUNTS.shape)


@cache
def fitted(loss="poisson"):
    data = COUNTS > 1 if loss.startswith("bernoulli") else COUNTS
    return gcp.fit_gcp(
        DenseTensor(data, labels=LABELS), 2, loss=loss, main_effects=loss == "poisson", **OPTIONS
    )


def dense_after():
    """Counts at the next two positions of the mode `when`."""
    coords = [*LABELS.coords[:2], np.array([2003, 2004])]
    return DenseTensor(COUNTS, labels=ModeLabels(LABELS.names, coords))


@cache
def plain():
    """A model without main effects."""
    return gcp.fit_gcp(dense(), 2, **OPTIONS)


@cache
def chosen():
    return gcp.select_rank(dense(), [1, 2], "poisson", n_splits=2, dirichlet_reg=0.0, n_starts=1, **OPTIONS)


@cache
def starts():
    return analysis.start_stability(dense(), 2, 2, **OPTIONS)


@cache
def errors():
    return analysis.bootstrap(fitted(), dense(), 2, **OPTIONS)


@cache
def designed():
    return gcp.fit_gcp(dense(), 1, loss="poisson", design={"when": designs.bspline(2, 1)}, **OPTIONS)


@cache
def estimator():
    return gcp.GCP(2, loss="poisson", **OPTIONS).fit(dense())


@cache
def coupled():
    """Two tensors that share their first mode."""
    return gcp.fit_gcp(
        {
            "counts": dense(),
            "more": DenseTensor(COUNTS[:, :, 0], labels=ModeLabels(["who", "why"], [list("dcba"), None])),
        },
        1,
        loss={"counts": "poisson", "more": "gaussian"},
        **OPTIONS,
    )


def table():
    import pandas as pd

    return pd.DataFrame({"who": list("aab"), "what": [1, 2, 1], "n": [3.0, 1.0, 2.0]})


def annotated():
    import anndata
    import pandas as pd

    return anndata.AnnData(
        COUNTS[:, :, 0].astype(float), pd.DataFrame(index=list("abcd")), pd.DataFrame(index=list("xyz"))
    )


@cache
def cells_by_genes():
    return gcp.fit_gcp(annotated(), 1, **OPTIONS)


def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def figure():
    from matplotlib.figure import Figure

    return Figure()


def loss_call(loss, method):
    """A good call of a method of a loss."""
    x, m = np.array([1.0, 0.0, 1.0]), np.array([0.3, 0.5, 0.8])
    x = x if loss.data_domain.contains(0.0) else x + 0.5
    arguments = {
        "x": x,
        "m": m,
        "mean": m,
        "rng": np.random.default_rng(0),
        "dispersion": None,
        "weights": np.ones(3),
    }
    function = getattr(loss, method)
    return Call(function, {name: arguments[name] for name in inspect.signature(function).parameters})


JUDGED = {"mask": None, "entry_weights": None}
"""Arguments of everything that judges a model."""


def good_calls(folder):
    """By name; files are in a folder of the test's own."""
    path = folder / "tensor.npz"
    gcp.write_tensor(path, dense())
    saved = folder / "result.npz"
    fitted().save(saved)
    judged = {"result": fitted(), "data": dense()} | JUDGED
    binary = {"result": fitted("bernoulli-logit"), "data": COUNTS > 1}
    shown = {"result": fitted(), "data": dense(), "ax": axes()}
    solver = {"n_iter_max": 5, "tol": 1e-6, "gradient_tol": 1e-6, "max_seconds": None}
    listed = {"subs": SUBS, "values": VALUES, "shape": COUNTS.shape, "labels": LABELS}
    fits = {"data": dense(), "rank": 2, "loss": "poisson"}
    own = [cls for cls in LOSSES if cls is not gcp.Loss and inspect.signature(cls).parameters]
    losses = {cls.__name__: Call(cls, {}) for cls in own}
    if find_spec("anndata") is not None:
        arguments = {"adata": annotated(), "key": "gcp"}
        losses |= {"FitResult.to_anndata": Call(cells_by_genes().to_anndata, arguments)}
    return losses | {
        "fit_gcp": Call(gcp.fit_gcp, fits | OPTIONS),
        "build_objective": Call(gcp.build_objective, {"data": dense(), "loss": "poisson", "n_threads": 1}),
        "EntrywiseObjective.value_and_grad": Call(
            gcp.build_objective(dense(), "poisson", n_threads=1).value_and_grad,
            {"factors": [np.ones((4, 2)), np.ones((3, 2)), np.ones((2, 2))]},
        ),
        "SeveralLosses": Call(
            gcp.SeveralLosses,
            {"by": "variable", "losses": {None: "poisson"}, "balanced": True, "parameters": None},
        ),
        "select_rank": Call(
            gcp.select_rank,
            {
                "data": dense(),
                "ranks": [1],
                "loss": "poisson",
                "dirichlet_reg": 0.0,
                "n_splits": 1,
                "n_starts": 1,
            }
            | OPTIONS,
        ),
        "RankChoice.plot": Call(chosen().plot, {"ax": axes()}),
        "hold_out": Call(
            gcp.hold_out,
            {"data": dense(), "fraction": 0.3, "random_state": 0, "scheme": "rows", "mode": 0, "keep": 0.0},
        ),
        "compile_ahead": Call(
            gcp.compile_ahead, {"losses": "poisson", "data": "dense", "n_modes": 3, "n_jobs": 1}
        ),
        "simulate": Call(gcp.simulate, {"shape": (4, 3), "rank": 2, "loss": "poisson", "random_state": 0}),
        "partition": Call(gcp.partition, {"data": dense(), "parts": 2, "mode": 0}),
        "suggest_loss": Call(gcp.suggest_loss, {"data": dense(), "rank": 1}),
        "write_report": Call(
            gcp.write_report,
            {"result": fitted(), "data": dense(), "path": folder / "page.html", "title": "T", "source": "s"},
        ),
        "from_frame": Call(
            gcp.from_frame,
            {
                "frame": table(),
                "modes": ["who", "what"],
                "value": "n",
                "unlisted": "zero",
                "positions": {"who": ["a", "b", "c"]},
                "freq": {},
            },
        ),
        "read_tensor": Call(gcp.read_tensor, {"path": path}),
        "write_tensor": Call(gcp.write_tensor, {"path": folder / "other.npz", "tensor": dense()}),
        "get_loss": Call(gcp.get_loss, {"name": "huber", "delta": 1.0}),
        "register": Call(gcp.register, {"name": "mine"}),
        "custom_loss": Call(
            gcp.custom_loss,
            {"f": lambda x, m: (x - m) ** 2, "df": lambda x, m: 2 * (m - x), "name": "square"},
        ),
        "Interval": Call(gcp.Interval, {"low": 0.0, "high": 1.0}),
        "Interval.contains": Call(gcp.Interval(low=0.0).contains, {"values": [1.0, -1.0]}),
        "Interval.clip": Call(gcp.Interval(low=0.0).clip, {"values": [1.0, -1.0]}),
        "ModeLabels": Call(
            ModeLabels,
            {"names": ["a", "b"], "coords": [[1, 2, 3], None], "units": ["m", None], "data_units": "K"},
        ),
        "ModeLabels.default": Call(ModeLabels.default, {"shape": (3, 2)}),
        "ModeLabels.check": Call(LABELS.check, {"shape": (4, 3, 2)}),
        "ModeLabels.values": Call(LABELS.values, {"mode": 0, "size": 4}),
        "ModeLabels.title": Call(LABELS.title, {"mode": "what"}),
        "ModeLabels.number": Call(LABELS.number, {"mode": "what"}),
        "DenseTensor": Call(DenseTensor, {"values": COUNTS, "mask": COUNTS >= 0, "labels": LABELS}),
        "SparseTensor": Call(SparseTensor, listed | {"missing": [[0, 0, 1]]}),
        "ObservedTensor": Call(ObservedTensor, listed),
        "FitResult.model_values": Call(fitted().model_values, {"subs": SUBS}),
        "FitResult.predict": Call(fitted().predict, {"subs": SUBS}),
        "FitResult.predict_at": Call(designed().predict_at, {"coordinates": {"when": [2001.5]}}),
        "FitResult.forecast": Call(
            fitted().forecast,
            {
                "horizon": 2,
                "mode": "what",
                "lags": 0,
                "dispersion": None,
                "n_draws": 20,
                "random_state": 0,
                "exposure": None,
            },
        ),
        "FitResult.update": Call(
            plain().update,
            {
                "new": dense_after(),
                "mode": "when",
                "unlisted": "missing",
                "history": dense(),
                "half_life": 2.0,
                "window": 4,
                "n_iter_max": 100,
                "tol": 1e-5,
                "mask": None,
                "n_threads": 1,
            },
        ),
        "designs.bspline": Call(
            designs.bspline, {"n": 5, "degree": 3, "cyclic": False, "ends": (2001, 2002)}
        ),
        "designs.features": Call(designs.features, {"frame": table()[["n"]]}),
        "designs.fourier": Call(designs.fourier, {"period": 12.0, "n_harmonics": 2}),
        "designs.groups": Call(designs.groups, {"labels": ["x", "y", "x", "y"]}),
        "designs.monotone": Call(designs.monotone, {"n": 4, "ends": None}),
        "FitResult.top": Call(fitted().top, {"mode": 1, "at": {"who": "a", 2: 2001}, "n": 2, "exclude": [0]}),
        "FitResult.score": Call(fitted().score, {"data": dense()}),
        "FitResult.deviance_explained": Call(fitted().deviance_explained, {"data": dense()}),
        "FitResult.transform": Call(fitted().transform, {"data": dense(), "mode": 0, "n_threads": 1}),
        "FitResult.to_frames": Call(fitted().to_frames, {}),
        "FitResult.save": Call(fitted().save, {"path": folder / "saved.npz"}),
        "FitResult.load": Call(gcp.FitResult.load, {"path": saved}),
        "load": Call(gcp.load, {"path": saved}),
        "CoupledResult.transform": Call(
            coupled().transform, {"data": {"counts": dense()}, "mode": "who", "bounds": None}
        ),
        "CoupledResult.save": Call(coupled().save, {"path": folder / "coupled.npz"}),
        "GCP": Call(
            lambda **given: gcp.GCP(**given).fit(dense()),
            {"rank": 2, "loss": "poisson", "mode": 0, "n_starts": 1} | OPTIONS,
        ),
        "GCP.fit": Call(gcp.GCP(2, loss="poisson", **OPTIONS).fit, {"X": dense()}),
        "GCP.fit_transform": Call(gcp.GCP(2, loss="poisson", **OPTIONS).fit_transform, {"X": dense()}),
        "GCP.transform": Call(estimator().transform, {"X": dense()}),
        "GCP.inverse_transform": Call(estimator().inverse_transform, {"X": np.ones((3, 2))}),
        "GCP.get_feature_names_out": Call(estimator().get_feature_names_out, {"input_features": None}),
        "GCP.score": Call(estimator().score, {"X": dense()}),
        "GCP.get_params": Call(estimator().get_params, {}),
        "GCP.set_params": Call(gcp.GCP().set_params, {"rank": 2}),
        "ALS": Call(gcp.ALS, solver),
        "LBFGSB": Call(gcp.LBFGSB, solver),
        "PreconditionedLBFGS": Call(gcp.PreconditionedLBFGS, solver),
        "RowNewton": Call(gcp.RowNewton, solver),
        "SampledRowNewton": Call(gcp.SampledRowNewton, solver),
        "Adam": Call(gcp.Adam, solver),
        "analysis.align": Call(analysis.align, {"model": plain(), "to": plain()}),
        "analysis.anomalies": Call(analysis.anomalies, judged | {"n": 3}),
        "analysis.binary_scores": Call(analysis.binary_scores, binary | JUDGED),
        "analysis.Bootstrap.interval": Call(
            analysis.bootstrap(fitted(), dense(), 2, **OPTIONS).interval, {"level": 0.9}
        ),
        "analysis.Bootstrap.to_frame": Call(
            analysis.bootstrap(fitted(), dense(), 2, **OPTIONS).to_frame, {"level": 0.9}
        ),
        "analysis.StandardErrors.to_frame": Call(
            analysis.standard_errors(**judged, bias_correction=False).to_frame, {"level": 0.9}
        ),
        "analysis.bootstrap": Call(analysis.bootstrap, judged | {"n": 2} | OPTIONS),
        "analysis.calibration": Call(analysis.calibration, judged | {"groups": 3}),
        "analysis.component_shares": Call(
            analysis.component_shares, {"result": plain(), "data": dense()} | JUDGED
        ),
        "analysis.congruence": Call(analysis.congruence, {"first": plain(), "second": plain()}),
        "analysis.core_consistency": Call(analysis.core_consistency, judged),
        "analysis.core_tensor": Call(analysis.core_tensor, judged),
        "analysis.degeneracies": Call(analysis.degeneracies, {"model": plain()}),
        "analysis.deviance": Call(analysis.deviance, judged),
        "analysis.dispersion_test": Call(analysis.dispersion_test, judged),
        "analysis.factor_match_score": Call(
            analysis.factor_match_score, {"first": plain(), "second": plain()}
        ),
        "analysis.information_criteria": Call(analysis.information_criteria, judged),
        "analysis.log_likelihood": Call(analysis.log_likelihood, judged | {"dispersion": None}),
        "analysis.n_parameters": Call(analysis.n_parameters, {"result": fitted()}),
        "analysis.outliers": Call(analysis.outliers, judged | {"mode": 0}),
        "analysis.prediction_scores": Call(analysis.prediction_scores, judged | {"random_state": 0}),
        "analysis.proper_scores": Call(analysis.proper_scores, judged | {"random_state": 0}),
        "analysis.ranking_scores": Call(
            analysis.ranking_scores,
            {"result": fitted(), "test": dense(), "mode": 0, "k": 2, "train": COUNTS < 0, "relevant": 1.0},
        ),
        "analysis.residuals": Call(analysis.residuals, judged | {"random_state": 0}),
        "analysis.slice_deviance": Call(analysis.slice_deviance, judged | {"mode": 0}),
        "analysis.split_half": Call(
            analysis.split_half,
            {"data": dense(), "rank": 1, "mode": 0, "n_splits": 1, "loss": "poisson"} | OPTIONS,
        ),
        "analysis.standard_errors": Call(analysis.standard_errors, judged),
        "analysis.StandardErrors.on_model_scale": Call(
            analysis.standard_errors(designed(), dense(), bias_correction=False).on_model_scale,
            {"mode": "when"},
        ),
        "analysis.StandardErrors.interval": Call(
            analysis.standard_errors(**judged, bias_correction=False).interval, {"level": 0.9}
        ),
        "analysis.start_stability": Call(
            analysis.start_stability, {"data": dense(), "rank": 1, "n_starts": 2, "loss": "poisson"} | OPTIONS
        ),
        "analysis.suggest_loss": Call(analysis.suggest_loss, {"data": dense(), "rank": 1}),
        "plots.plot_calibration": Call(plots.plot_calibration, shown | {"groups": 3}),
        "plots.plot_comparison": Call(
            plots.plot_comparison,
            {"first": plain(), "second": fitted(), "names": ("a", "b"), "figure": figure()},
        ),
        "plots.plot_components": Call(
            plots.plot_components,
            {
                "result": fitted(),
                "figure": figure(),
                "components": [0],
                "modes": [0, "when"],
                "kinds": {"who": "dot"},
                "hue": {"who": ["x", "x", "y", "y"]},
                "errors": errors(),
                "level": 0.9,
                "overlay": [plain()],
            },
        ),
        "plots.plot_core": Call(plots.plot_core, {"core": np.ones((2, 2, 2)), "ax": axes()}),
        "plots.plot_forest": Call(
            plots.plot_forest,
            {
                "result": fitted(),
                "errors": errors(),
                "mode": 0,
                "components": [0],
                "level": 0.9,
                "ax": axes(),
            },
        ),
        "plots.plot_objective_by_rank": Call(
            plots.plot_objective_by_rank, {"found": [starts()], "ax": axes()}
        ),
        "plots.plot_outliers": Call(
            plots.plot_outliers, {"found": analysis.outliers(fitted(), dense(), 0), "ax": axes()}
        ),
        "plots.plot_shares": Call(
            plots.plot_shares, {"found": analysis.component_shares(plain(), dense()), "ax": axes()}
        ),
        "plots.plot_similarity_by_rank": Call(
            plots.plot_similarity_by_rank, {"found": [starts()], "ax": axes()}
        ),
        "plots.plot_convergence": Call(plots.plot_convergence, {"result": fitted(), "ax": axes()}),
        "plots.plot_observed": Call(
            plots.plot_observed, {"result": fitted(), "data": dense(), "figure": figure()}
        ),
        "plots.plot_residuals": Call(plots.plot_residuals, shown),
        "plots.plot_roc": Call(plots.plot_roc, binary | {"ax": axes()}),
        "plots.plot_similarity": Call(plots.plot_similarity, {"found": starts(), "ax": axes()}),
        "plots.plot_slices": Call(plots.plot_slices, shown | {"mode": 0}),
        "plots.plot_starts": Call(plots.plot_starts, {"found": starts(), "ax": axes()}),
        "plots.plot_surprises": Call(
            plots.plot_surprises,
            {
                "result": fitted(),
                "found": analysis.anomalies(fitted(), dense(), 3),
                "modes": None,
                "ax": axes(),
            },
        ),
    }
