"""The share of deviance of data that leave nothing to explain: 1 of a perfect model, else NaN, wherever shown."""

import json
import math

import numpy as np
import pytest

from gcp import FitResult, fit_gcp
from gcp.analysis import deviance
from gcp.cli import main

CASES = [
    ("gaussian", 0.0),
    ("gaussian", -3.7),
    ("gaussian", 2.0**62),
    ("huber", 1.0),
    ("poisson", 0.0),
    ("poisson-log", 1.0),
    ("bernoulli-odds", 0.0),
    ("bernoulli-logit", 1.0),
    ("bernoulli-poisson", 1.0),
    ("gamma", 5.0),
    ("rayleigh", 1e-6),
    ("beta-divergence", 2.5),
    ("negative-binomial", 7.0),
    ("negative-binomial-logit", 7.0),
]


@pytest.mark.filterwarnings("ignore::gcp.base.errors.ConvergenceWarning")
@pytest.mark.parametrize(("loss", "value"), CASES)
def test_a_perfect_model_explains_all_and_a_wrong_one_nothing_that_is_a_number(loss, value, tmp_path):
    x = np.full((6, 5, 4), value)
    result = fit_gcp(x, 2, loss=loss, random_state=0)
    for share in (
        result.training_deviance_explained,
        result.deviance_explained(x),
        deviance(result, x).explained,
    ):
        assert share == 1.0
    wrong = fit_gcp(
        np.where(np.arange(4) == 0, x, 2.0 * x if value not in (0.0, 1.0) else 1.0 - value),
        1,
        loss=loss,
        random_state=0,
        n_iter_max=1,
    )
    if not np.allclose(wrong.predict(), x, rtol=1e-2, atol=1e-2 * abs(value)):
        assert math.isnan(wrong.deviance_explained(x))
        assert math.isnan(deviance(wrong, x).explained)


def test_where_it_is_shown(tmp_path, capsys):
    x = np.full((6, 5, 4), 7.0)
    with pytest.warns(match="did not converge"):
        result = fit_gcp(x, 1, random_state=0, n_iter_max=0)
    assert math.isnan(result.training_deviance_explained)
    assert "undefined: the data are constant" in str(result)
    result.save(tmp_path / "r.npz")
    assert FitResult.load(tmp_path / "r.npz") == result
    np.save(tmp_path / "x.npy", x)
    options = [str(tmp_path / "x.npy"), "--loss", "gaussian", "--rank", "1", "--seed", "0"]
    main(["fit", *options, "--max-iter", "0", "--json"])
    assert json.loads(capsys.readouterr().out)["deviance_explained"] is None


def test_a_small_spread_is_still_something_to_explain(rng):
    x = 1.0 + 1e-8 * np.einsum("i,j,k->ijk", *[rng.normal(size=n) for n in (6, 5, 4)])
    result = fit_gcp(x, 2, random_state=0, n_starts=2)
    assert result.training_deviance_explained == pytest.approx(result.deviance_explained(x), abs=1e-6)
    assert result.training_deviance_explained != 1.0 or result.null_objective > 0
