"""Main effects. Truths: linear models by NumPy, logistic and Poisson regression by SciPy, einsum."""

import warnings

import numpy as np
import pytest
from helpers import LOSSES, full, interior_points, random_factors, short
from numpy.testing import assert_allclose
from scipy import optimize

import gcp
from gcp import FitResult, ObservedTensor, ParameterError, SparseTensor, build_objective, fit_gcp
from gcp.kernels.shared.reference import mttkrps
from gcp.objectives.terms.main_effects import MainEffects

SHAPE = (7, 6, 5)
KINDS = ("dense", "masked", "observed", "sparse")


def added(effects):
    """The sum of vectors along the modes of a tensor."""
    n = len(effects)
    return sum(e.reshape([-1 if k == m else 1 for k in range(n)]) for m, e in enumerate(effects))


def as_kind(kind, data, known):
    """Arguments of a fit for the same numbers, and the cells that count."""
    if kind == "dense":
        return (data,), {}, np.ones(data.shape, bool)
    if kind == "masked":
        return (data,), {"mask": known}, known
    if kind == "observed":
        return (ObservedTensor(np.argwhere(known), data[known], data.shape),), {}, known
    tensor = SparseTensor(np.argwhere(data), data[data != 0], data.shape)
    return (tensor,), {}, np.ones(data.shape, bool)


def data_of(loss, rng, shape=SHAPE):
    x = interior_points(loss, int(np.prod(shape)), rng)[0].reshape(shape)
    return x


# --- the objective -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_value_is_that_of_the_model_with_effects_added(loss, kind, rng):
    data, known = data_of(loss, rng), rng.random(SHAPE) < 0.7
    if kind == "sparse" and not loss.data_domain.contains(0.0):
        pytest.skip("zeros are outside the domain")
    (tensor,), options, counted = as_kind(kind, data, known)
    effects = MainEffects((0, 2), 2)
    objective = build_objective(tensor, loss, n_threads=2, **options).with_effects(effects)
    positive = loss.model_domain.low == 0
    components = random_factors(SHAPE, 2, rng, positive)
    vectors = [a[:, 0] for a in random_factors(SHAPE, 1, rng, positive)]
    vectors[1] = np.zeros(SHAPE[1])
    value, grad = objective.value_and_grad(effects.joined(components, vectors))
    m = full(components) + added(vectors)
    assert_allclose(value, np.sum(objective.loss.value(data, m)[counted]), rtol=1e-9)
    y = np.where(counted, objective.loss.deriv(data, m), 0.0)
    for column, mode in ((2, 0), (3, 2)):
        others = tuple(n for n in range(3) if n != mode)
        assert_allclose(grad[mode][:, column], y.sum(axis=others), rtol=1e-7, atol=1e-9 * np.abs(y).max())
    of_one = np.einsum("ijk,i,k->j", y, components[0][:, 0], components[2][:, 0])
    assert_allclose(grad[1][:, 0], of_one, rtol=1e-7, atol=1e-7)
    assert not grad[1][:, 2:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_large_dense_data_with_effects(dtype, n_threads, rng):
    """Several tiles and blocks; by einsum, with the effects as components."""
    shape = (50, 40, 60)
    data = rng.normal(size=shape).astype(dtype)
    effects = MainEffects((0, 1, 2), 3)
    factors = effects.joined(random_factors(shape, 3, rng), [rng.normal(size=n) for n in shape])
    plain = build_objective(data, "gaussian", n_threads=n_threads)
    value, grad = plain.with_effects(effects).value_and_grad([a.astype(dtype) for a in factors])
    difference = full(factors) - data
    truth, truth_grad = np.sum(difference**2), mttkrps(2 * difference, factors)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    assert_allclose(value, truth, rtol=tolerance)
    for n in range(3):
        free = [0, 1, 2, 3 + n]
        scale = np.abs(truth_grad[n]).max()
        assert_allclose(grad[n][:, free], truth_grad[n][:, free], rtol=tolerance, atol=tolerance * scale)


def test_ridge_leaves_the_intercept_free(rng):
    data = rng.normal(5.0, 1.0, SHAPE)
    effects = MainEffects((0, 1), 1)
    factors = effects.joined(random_factors(SHAPE, 1, rng), [rng.normal(size=n) for n in SHAPE])
    plain = build_objective(data, "gaussian").with_effects(effects)
    ridge = build_objective(data, "gaussian", l2_reg={"factors": 0.6, "main_effects": 0.4}).with_effects(
        effects
    )
    (value, grad), (value2, grad2) = plain.value_and_grad(factors), ridge.value_and_grad(factors)
    e = effects.vectors(factors)
    penalty = 0.3 * sum(np.sum(a[:, 0] ** 2) for a in factors)
    penalty += 0.2 * (np.sum((e[0] - e[0].mean()) ** 2) + np.sum(e[1] ** 2))
    assert_allclose(value2 - value, penalty)
    assert_allclose(grad2[0][:, 1] - grad[0][:, 1], 0.4 * (e[0] - e[0].mean()), atol=1e-10)
    assert_allclose(grad2[1][:, 2] - grad[1][:, 2], 0.4 * e[1], atol=1e-10)
    shifted = effects.joined(effects.components(factors), [e[0] + 3.0, e[1], e[2]])
    assert_allclose(ridge.penalties.value(shifted), ridge.penalties.value(factors))


# --- the additive model alone ------------------------------------------------------------------------------


def design(shape, modes):
    """The matrix of a linear model of an intercept and effects, with a row for each cell."""
    cells = np.indices(shape).reshape(len(shape), -1)
    columns = [np.ones((cells.shape[1], 1))]
    columns += [np.eye(shape[n])[cells[n]] for n in modes]
    return np.hstack(columns)


@pytest.mark.parametrize("kind", ["dense", "masked", "observed"])
@pytest.mark.parametrize("solver", ["auto", "lbfgsb"])
@pytest.mark.parametrize("modes", [True, (0, 2), (1,)])
def test_gaussian_effects_alone_are_a_linear_model(kind, solver, modes, rng):
    data, known = rng.normal(3.0, 1.0, SHAPE), rng.random(SHAPE) < 0.6
    (tensor,), options, counted = as_kind(kind, data, known)
    result = fit_gcp(tensor, 0, main_effects=modes, solver=solver, random_state=0, **options)
    matrix = design(SHAPE, range(3) if modes is True else modes)[counted.ravel()]
    truth = matrix @ np.linalg.lstsq(matrix, data[counted], rcond=None)[0]
    assert_allclose(result.model_values()[counted], truth, atol=2e-4)
    assert_allclose(result.objective, np.sum((data[counted] - truth) ** 2), rtol=1e-8)
    assert result.rank == 0
    assert all(abs(e.mean()) < 1e-12 for e in result.main_effects.values())


@pytest.mark.parametrize("name", ["bernoulli-logit", "poisson-log"])
def test_other_links_agree_with_regression_by_scipy(name, rng):
    shape = (8, 9)
    logits = added([rng.normal(size=n) for n in shape])
    data = (rng.random(shape) < 1 / (1 + np.exp(-logits))).astype(float)
    data = data if name == "bernoulli-logit" else rng.poisson(np.exp(0.5 * logits)).astype(float)
    matrix, penalty = design(shape, (0, 1)), 0.3

    def objective(b):
        m = matrix @ b
        rate = np.logaddexp(0, m) if name == "bernoulli-logit" else np.exp(m)
        return np.sum(rate - data.ravel() * m) + 0.5 * penalty * np.sum(b[1:] ** 2)

    truth = optimize.minimize(objective, np.zeros(matrix.shape[1]), method="BFGS", options={"gtol": 1e-7})
    result = fit_gcp(data, 0, loss=name, main_effects=True, l2_reg=penalty, random_state=0)
    assert_allclose(result.objective, truth.fun, rtol=1e-7)
    assert_allclose(result.intercept, truth.x[0] + truth.x[1:9].mean() + truth.x[9:].mean(), atol=1e-3)
    assert_allclose(result.main_effects["mode_0"], truth.x[1:9] - truth.x[1:9].mean(), atol=1e-3)


# --- components beside effects -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["gaussian", "bernoulli-poisson", "poisson", "negative-binomial-logit"])
def test_fits_are_stationary_and_never_end_above_the_additive_model(kind, name, rng):
    loss = gcp.get_loss(name, **({"r": 2.0} if name.startswith("neg") else {}))
    data, known = data_of(loss, rng), rng.random(SHAPE) < 0.8
    (tensor,), options, counted = as_kind(kind, data, known)
    additive = fit_gcp(tensor, 0, loss=loss, main_effects=True, l2_reg=0.3, random_state=0, **options)
    for solver in ("auto", "lbfgsb"):
        result = fit_gcp(
            tensor,
            2,
            loss=loss,
            main_effects=True,
            l2_reg=0.3,
            solver=solver,
            random_state=0,
            **options,
        )
        assert result.objective <= additive.objective + 1e-9 * abs(additive.objective)
        m = result.model_values()
        assert_allclose(
            np.sum(result.loss.value(data, m)[counted]) + result.penalty, result.objective, rtol=1e-9
        )
        assert_allclose(result.model_values([[1, 2, 3], [0, 5, 4]]), [m[1, 2, 3], m[0, 5, 4]])
        assert result.projected_gradient_norm < 1e-3


def test_useless_components_are_switched_off(rng):
    # nothing but effects in the data and a large ridge on factors: no component lowers the objective
    data = added([rng.normal(size=n) for n in SHAPE])
    result = fit_gcp(data, 1, main_effects=True, l2_reg={"factors": 1e4}, random_state=0)
    assert result.objective < 1e-10
    assert_allclose(result.weights, 0, atol=1e-12)
    assert_allclose(result.model_values(), data, atol=1e-6)


def test_planted_effects_and_components_come_back(rng):
    shape = (30, 25, 20)
    effects = [rng.normal(size=n) for n in shape]
    effects = [e - e.mean() for e in effects]
    factors = random_factors(shape, 2, rng)
    factors = [a - a.mean(axis=0) for a in factors]  # else part of a component is an effect
    data = 2.0 + added(effects) + full(factors)
    result = fit_gcp(data, 2, main_effects=True, random_state=0, n_starts=3)
    assert_allclose(result.model_values(), data, atol=1e-4)
    assert_allclose(result.intercept, 2.0, atol=1e-3)
    for n, e in enumerate(effects):
        assert_allclose(result.main_effects[f"mode_{n}"], e, atol=1e-3)


def test_float32_data(rng):
    data = (added([rng.normal(size=n) for n in SHAPE]) + 0.1 * rng.normal(size=SHAPE)).astype(np.float32)
    result = fit_gcp(data, 1, main_effects=True, random_state=0)
    assert result.factors[0].dtype == np.float32
    assert result.training_deviance_explained > 0.95


# --- the result --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    data = gcp.datasets.load_nyc_wind()
    return fit_gcp(data, 2, main_effects=(0, 2), l2_reg=1.0, random_state=0, n_iter_max=20)


def test_effects_are_components_of_cp_whose_other_columns_are_constant(result):
    weights, factors = result.cp
    assert [a.shape[1] for a in factors] == [5, 5, 5]
    model = np.einsum("z,iz,jz,kz->ijk", weights, *factors)
    assert_allclose(model, result.model_values(), rtol=1e-10)
    for column, modes in ((2, ()), (3, (0,)), (4, (2,))):
        for n, a in enumerate(factors):
            assert (np.ptp(a[:, column]) < 1e-12) == (n not in modes)
            assert_allclose(np.linalg.norm(a[:, column]), 1.0)


def test_effects_are_named_shown_saved_and_scored(result, tmp_path):
    assert list(result.main_effects) == ["airport", "hour"]
    assert "main effects:            intercept" in str(result)
    frames = result.to_frames()
    assert_allclose(frames["hour"]["main_effect"], result.main_effects["hour"])
    assert "main_effect" not in frames["day_of_year"]
    result.save(tmp_path / "r.npz")
    assert FitResult.load(tmp_path / "r.npz") == result
    data = gcp.datasets.load_nyc_wind()
    assert_allclose(result.deviance_explained(data), result.training_deviance_explained, rtol=1e-9)
    assert result.settings["main_effects"] == [0, 2]


def test_a_result_with_effects_is_a_warm_start(result):
    data = gcp.datasets.load_nyc_wind()
    again = fit_gcp(data, 2, main_effects=(0, 2), l2_reg=1.0, init=result, n_iter_max=0)
    assert again.trace["objective"][0] == pytest.approx(result.objective, rel=1e-9)


def test_damaged_effects_in_a_file_are_refused(result, tmp_path):
    result.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as archive:
        arrays = dict(archive)
    arrays["effect_0"] = arrays["effect_0"][:1]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(gcp.FormatError, match="effect_0"):
        FitResult.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"rank": 0}, "rank must be an integer >= 1: found 0"),
        ({"rank": -1, "main_effects": True}, "rank must be an integer >= 0"),
        ({"rank": 1, "main_effects": (0, 3)}, "main_effects: found"),
        ({"rank": 1, "main_effects": (0, 0)}, "main_effects: found"),
        ({"rank": 1, "main_effects": True, "solver": "als"}, "found main effects"),
        ({"rank": 1, "main_effects": True, "tied_modes": [(0, 1)]}, "together with tied_modes"),
        ({"rank": 1, "main_effects": True, "l2_reg": {"effects": 1}}, "l2_reg has no part 'effects'"),
        ({"rank": 1, "main_effects": True, "l2_reg": {"main_effects": -1}}, "l2_reg must be a finite number"),
    ],
)
def test_bad_arguments(options, part, rng):
    with pytest.raises(ParameterError, match=part.replace("[", r"\[")):
        fit_gcp(rng.normal(size=(4, 4, 3)), random_state=0, **options)


def test_fixed_modes_have_no_effects(rng):
    data, factors = rng.normal(size=SHAPE), random_factors(SHAPE, 2, rng)
    result = fit_gcp(data, 2, init=factors, fixed_modes=[1], main_effects=True)
    assert list(result.main_effects) == ["mode_0", "mode_2"]
    norms = np.linalg.norm(factors[1], axis=0)
    assert_allclose(result.factors[1], factors[1] / norms)
    with pytest.raises(ParameterError, match="mode 1 is fixed"):
        fit_gcp(data, 2, init=factors, fixed_modes=[1], main_effects=(0, 1))


def test_command_line(tmp_path, capsys):
    from gcp.cli import main

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        command = "fit nyc_wind --rank 0 --main-effects airport,2 --l2-effects 2 --seed 0 --quiet --json"
        assert main(command.split()) == 0
    shown = capsys.readouterr().out
    assert '"main_effects": [\n    "airport",\n    "hour"\n  ]' in shown
    assert main(["fit", "nyc_wind", "--rank", "1", "--main-effects", "--seed", "0", "--max-iter", "3"]) == 0
    assert "main effects" in capsys.readouterr().out


def test_fixed_factors_stay_whatever_the_additive_model_reaches(rng):
    data = rng.poisson(2.0, (5, 4, 3)).astype(float)
    known = ObservedTensor(np.argwhere(data), data[data > 0], data.shape)
    factors = [rng.uniform(0.5, 1.0, (n, 2)) for n in data.shape]
    result = fit_gcp(known, 2, main_effects=[1, 2], fixed_modes=[0], init=factors, l2_reg=50.0)
    assert_allclose(result.factors[0], factors[0] / np.linalg.norm(factors[0], axis=0))


def test_interrupts_and_callbacks_keep_what_there_is(rng, monkeypatch):
    from gcp.solvers.starts import multistart

    data = rng.normal(size=SHAPE)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(multistart, "_better_additive", interrupted)
        result = fit_gcp(data, 1, main_effects=True, random_state=0)
    assert result.status == "interrupted"
    seen = []
    fit_gcp(data, 1, main_effects=True, random_state=0, callback=lambda s: seen.append(s.iteration) or True)
    assert seen == [1]

    def at_once(state):
        raise KeyboardInterrupt

    alone = fit_gcp(data, 0, main_effects=True, random_state=0, callback=at_once)
    assert alone.status == "interrupted"


def test_a_nonnegative_result_is_a_warm_start_too(rng):
    data = rng.poisson(added([rng.uniform(0.5, 3.0, n) for n in SHAPE])).astype(float)
    first = fit_gcp(data, 1, loss="poisson", main_effects=True, random_state=0)
    again = fit_gcp(data, 1, loss="poisson", main_effects=True, init=first, n_iter_max=0)
    assert again.trace["objective"][0] == pytest.approx(first.objective, rel=1e-6)


@pytest.mark.parametrize("given", [None, np.False_, ()])
def test_no_effects_by_any_name(given, rng):
    assert fit_gcp(rng.normal(size=(4, 3, 2)), 1, main_effects=given, random_state=0).main_effects == {}
    with pytest.raises(ParameterError, match="rank must be an integer >= 1"):
        fit_gcp(rng.normal(size=(4, 3, 2)), 0, main_effects=given, random_state=0)


@pytest.mark.parametrize(
    "options", [{"main_effects": 1}, {"main_effects": True, "rank": 0, "init": "nonsense"}]
)
def test_more_bad_arguments(options, rng):
    with pytest.raises(ParameterError):
        fit_gcp(rng.normal(size=(4, 3, 2)), **{"rank": 1, "random_state": 0} | options)
