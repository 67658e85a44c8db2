"""New rows against refits of all rows, SciPy's minimiser, and closed forms."""

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy.optimize import minimize, nnls

from gcp import (
    BetaDivergence,
    DataError,
    Huber,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    custom_loss,
    fit_gcp,
    simulate,
)

SHAPE = (8, 7, 6)
TIGHT = {"tol": 1e-14, "n_iter_max": 20_000, "random_state": 0}


def of_kind(kind, x):
    if kind == "sparse":
        return SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    if kind == "observed":
        return ObservedTensor(np.argwhere(np.ones(x.shape)), x.ravel(), x.shape)
    return x


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("gaussian", {}),
        ("gaussian", {"l2_reg": 2.0}),
        ("poisson", {}),
        ("poisson", {"l2_reg": 0.5}),
        ("bernoulli-logit", {"l2_reg": 0.3}),
        ("negative-binomial", {"l2_reg": 0.1}),
        ("gaussian", {"main_effects": True, "l2_reg": {"factors": 1.0, "main_effects": 0.2}}),
        ("gaussian", {"main_effects": [1], "l2_reg": 0.5}),
        ("gaussian", {"main_effects": [0], "l2_reg": 0.0}),
        ("gaussian", {"weight_reg": 2.0}),
        ("poisson", {"weight_reg": 1.0}),
        ("poisson", {"dirichlet_reg": 0.5}),
        ("poisson", {"dirichlet_reg": 3.0, "l2_reg": 0.1}),
    ],
    ids=str,
)
def test_the_data_of_the_fit_get_their_own_rows(kind, loss, options):
    """At a minimum every row is at its own."""
    data, _ = simulate(SHAPE, 2, loss, random_state=3)
    tensor = of_kind(kind, np.asarray(data.values, dtype=float))
    result = fit_gcp(tensor, 2, loss=loss, **options, **TIGHT)
    for mode in (0, 2):
        found = result.transform(tensor, mode)
        scale = np.abs(result.factors[mode]).max()
        assert_allclose(found.rows, result.factors[mode], atol=2e-4 * scale)
        name = f"mode_{mode}"
        assert (found.main_effects is not None) == (name in result.main_effects)
        if found.main_effects is not None:
            spread = np.abs(result.main_effects[name]).max()
            assert_allclose(found.main_effects, result.main_effects[name], atol=1e-3 * spread)


@pytest.mark.parametrize("loss", ["poisson", "bernoulli-logit", "gamma"])
def test_new_rows_are_scipys_minimum(loss, rng):
    data, _ = simulate(SHAPE, 2, loss, random_state=1)
    result = fit_gcp(data, 2, loss=loss, l2_reg=0.2, random_state=0)
    new = np.asarray(simulate((3, 7, 6), 2, loss, random_state=2)[0].values, dtype=float)
    found = result.transform(new, "mode_0").rows
    size = np.sqrt(result.weights ** (2 / 3))
    low = 0.0 if loss != "bernoulli-logit" else None

    def objective(row, x):
        m = np.einsum("r,br,cr->bc", row * result.weights, result.factors[1], result.factors[2])
        return result.loss.value(x, m).sum() + 0.1 * np.sum((row * size) ** 2)

    for x, row in zip(new, found, strict=True):
        start = np.full(2, 0.3)
        best = minimize(objective, start, args=(x,), bounds=[(low, None)] * 2, options={"ftol": 1e-15})
        assert objective(row, x) <= best.fun + 1e-9 * abs(best.fun)
        assert_allclose(row, best.x, atol=1e-3 * np.abs(best.x).max())


def test_gaussian_rows_are_a_regression(rng):
    factors = random_factors(SHAPE, 3, rng)
    result = fit_gcp(full(factors), 3, random_state=0, tol=1e-13)
    new = rng.normal(size=(8, 7, 4))
    known = rng.random(new.shape) < 0.8
    weights = rng.uniform(0.5, 2, new.shape)
    found = result.transform(new, 2, mask=known, entry_weights=weights)
    design = np.einsum("ar,br->abr", result.factors[0], result.factors[1]) * result.weights
    for k in range(4):
        here, root = known[..., k], np.sqrt(weights[..., k][known[..., k]])
        expected = np.linalg.lstsq(design[here] * root[:, None], new[..., k][here] * root, rcond=None)[0]
        assert_allclose(found.rows[k], expected, rtol=1e-6, atol=1e-9)


def test_bounds_and_positions_of_which_nothing_is_known(rng):
    data, _ = simulate(SHAPE, 2, "poisson", random_state=1)
    result = fit_gcp(data, 2, loss="poisson", l2_reg=0.1, random_state=0)
    new = np.asarray(data.values, dtype=float)[:3].copy()
    new[1] = np.nan
    found = result.transform(new, 0)
    assert_allclose(found.rows[1], 0.0, atol=1e-9)  # what the ridge prefers
    capped = result.transform(new, 0, bounds=(0.05, 0.1)).rows
    assert (capped >= 0.05).all()
    assert (capped <= 0.1).all()
    assert_allclose(new[0], data.values[0])


def test_refusals(rng):
    x = rng.normal(size=SHAPE)
    result = fit_gcp(x, 1, random_state=0)
    with pytest.raises(DataError, match=r"\(any, 7, 6\)"):
        result.transform(x[:, :5], 0)
    with pytest.raises(DataError, match="shape"):
        result.transform(x[0], 0)
    with pytest.raises(ParameterError, match="Unknown mode 'day'"):
        result.transform(x, "day")
    counts = fit_gcp(rng.poisson(3.0, SHAPE), 1, loss="poisson", random_state=0)
    with pytest.raises(ParameterError, match="lower -1, but the loss needs a model >= 0"):
        counts.transform(rng.poisson(3.0, SHAPE), 0, bounds=(-1, None))
    one = fit_gcp(np.arange(5.0), 1, random_state=0)
    with pytest.raises(ParameterError, match="one mode"):
        one.transform(np.arange(3.0), 0)
    odd = custom_loss(lambda x, m: np.interp(x - m, [-9, 0, 9], [9, 0, 9]), lambda x, m: np.sign(m - x))
    strange = fit_gcp(x, 1, loss=odd, random_state=0, n_iter_max=2)
    with pytest.raises(ParameterError, match="compile"):
        strange.transform(x, 0)


def test_too_many_cells_for_a_loss_without_a_closed_form(rng):
    few, many = (
        SparseTensor(np.array([[0, 0], [size - 1, 19_999]]), [1.0, 1.0], (size, 20_000)) for size in (2, 5000)
    )
    result = fit_gcp(few, 1, loss="bernoulli-odds", random_state=0, n_iter_max=1)
    with pytest.raises(ParameterError, match="fewer positions"):
        result.transform(many, 0)


def test_new_rows_keep_the_bounds_of_the_fit(rng):
    """Nonnegative least squares by SciPy, and caps that hold for fitted factors."""
    data = np.abs(rng.normal(size=SHAPE))
    result = fit_gcp(data, 2, bounds=(0, None), random_state=0)
    new = rng.normal(size=(5, *SHAPE[1:]))
    design = np.einsum("jr,kr->jkr", result.factors[1], result.factors[2]) * result.weights
    expected = [nnls(design.reshape(-1, 2), x.ravel())[0] for x in new]
    assert min(map(np.min, expected)) == 0
    assert_allclose(result.transform(new, 0).rows, expected, atol=1e-8)
    caps = ([None, None, None], [0.4, None, None])
    capped = fit_gcp(data, 2, bounds=caps, random_state=0)
    rows = capped.transform(100 * np.abs(new), 0).rows
    scale = np.sum(capped.fitted_factors[0] * capped.factors[0], axis=0)
    assert_allclose((rows * scale).max(), 0.4, rtol=1e-12)


@pytest.mark.parametrize(
    "loss", ["gamma", "rayleigh", "negative-binomial", BetaDivergence(0.0), BetaDivergence(-1.0)], ids=repr
)
def test_the_best_of_several_minima(loss):
    """No row is above SciPy's best from several starts, for losses that are not convex in the row."""
    name, options = (loss, {}) if isinstance(loss, str) else ("gamma", {})
    data, _ = simulate((10, 6, 5), 2, name, scale=3.0, random_state=3, **options)
    new = np.asarray(simulate((6, 6, 5), 2, name, scale=3.0, random_state=31)[0].values, dtype=float)
    result = fit_gcp(data, 2, loss=loss, random_state=0)
    size = result.weights[:, None, None] * np.einsum("jr,kr->rjk", *result.factors[1:])
    for x, row in zip(new, result.transform(new, 0).rows, strict=True):

        def objective(z, x=x):
            return float(result.loss.value(x, np.tensordot(z, size, axes=1)).sum())

        starts = [(0.3, 0.3), (0.02, 0.8), (0.8, 0.02), (1.0, 1.0)]
        options = {"ftol": 1e-14, "gtol": 1e-10}
        best = min(
            minimize(objective, s, method="L-BFGS-B", bounds=[(0, None)] * 2, options=options).fun
            for s in starts
        )
        assert objective(row) <= best + 1e-9 * max(1.0, abs(best))


def test_rows_that_many_steps_lead_to_are_at_their_minimum():
    """A flat valley, in which steps of expected curvatures are short: after 200 of them 3e-7 would be left here."""
    rng = np.random.default_rng(70)
    factors = [rng.gamma(1.0, 1.0, (size, 2)) for size in (4, 6, 5)]
    x = rng.gamma(1.0, np.einsum("ir,jr,kr->ijk", *factors))
    result = fit_gcp(x, 2, loss="gamma", init=factors, n_iter_max=0)
    new = rng.gamma(1.0, 3.0, (8, 6, 5))[4:5]
    size = result.weights[:, None, None] * np.einsum("jr,kr->rjk", *result.factors[1:])

    def objective(z):
        return float(result.loss.value(new[0], np.tensordot(z, size, axes=1)).sum())

    starts, options = [(0.3, 0.3), (0.02, 0.8), (0.8, 0.02)], {"ftol": 1e-15, "gtol": 1e-10}
    ends = [
        minimize(objective, s, method="L-BFGS-B", bounds=[(0, None)] * 2, options=options) for s in starts
    ]
    assert objective(result.transform(new, 0).rows[0]) <= min(end.fun for end in ends) + 1e-8


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6])
@pytest.mark.parametrize(
    "of", [lambda c: BetaDivergence(1.5), lambda c: BetaDivergence(1.0), lambda c: Huber(0.3 * c)]
)
def test_the_unit_of_the_data_is_that_of_no_row(of, unit, rng):
    factors = random_factors(SHAPE, 2, rng, positive=True)
    x = full(factors) * rng.gamma(5.0, 0.2, SHAPE)
    rows = []
    for c in (1.0, unit):
        given = [c * factors[0], *factors[1:]]
        result = fit_gcp(c * x, 2, loss=of(c), init=given, fixed_modes=[0, 1, 2], bounds=(0, None))
        rows.append(result.transform(c * x[::-1], 0).rows)
    assert_allclose(rows[1], rows[0], rtol=1e-5, atol=1e-6 * rows[0].max())
