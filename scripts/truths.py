"""Models that other packages have, too: how far ours are from theirs, as a page.

    python scripts/truths.py [--print]

One mode beside modes of size 1, or additive effects, is a regression that statsmodels fits. The page,
docs/truths.md, has the largest relative difference of each number that both give. --print writes nothing.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import statsmodels
import statsmodels.api as sm
from scipy import special
from statsmodels.discrete import count_model, discrete_model, truncated_model
from statsmodels.miscmodels.ordinal_model import OrderedModel

import gcp
from gcp import analysis

PAGE = Path(__file__).parents[1] / "docs" / "truths.md"
N = 400
INTRODUCTION = """# The same models elsewhere

`python scripts/truths.py` fits each model here and in statsmodels {version}, and makes this page: the largest
difference of what both give, relative to the largest number of its kind. Parameters of mixtures and thresholds differ
by as much as statsmodels' search leaves; likelihoods are flat there.
"""
EXACT = gcp.PreconditionedLBFGS(tol=0.0, gradient_tol=1e-12)
SEARCH = {"disp": 0, "maxiter": 2000, "method": "bfgs", "gtol": 1e-8}

Row = dict[str, Any]


def off(ours: Any, theirs: Any) -> str:
    """Return the largest difference, relative to the largest number."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    return f"{np.abs(ours - theirs).max() / np.abs(theirs).max():.0e}"


def regressions(rng: np.random.Generator) -> Iterator[Row]:
    """Designed factors of one mode: generalized linear models."""
    families, identity = sm.families, sm.families.links.Identity()
    z = np.column_stack([np.ones(N), rng.normal(size=N), rng.integers(0, 2, N)])
    positive = np.column_stack([np.ones(N), rng.integers(0, 2, N), rng.random(N)])
    eta, mean = z @ [0.6, 0.5, 0.3], positive @ [2.0, 1.0, 3.0]
    for loss, table, y, family in (
        ("gaussian", z, eta + 0.5 * rng.normal(size=N), families.Gaussian()),
        ("poisson-log", z, rng.poisson(np.exp(eta)), families.Poisson()),
        ("poisson", positive, rng.poisson(mean), families.Poisson(identity)),
        ("bernoulli-logit", z, rng.random(N) < special.expit(eta), families.Binomial()),
        ("gamma", positive, rng.gamma(4.0, mean / 4), families.Gamma(identity)),
    ):
        x = np.asarray(y, dtype=float)
        truth = sm.GLM(x, table, family=family).fit(tol=1e-14, maxiter=200)
        found = gcp.fit_gcp(x[:, None], 1, loss=loss, design={0: table}, random_state=0, solver=EXACT)
        scale = truth.scale if loss in ("gaussian", "gamma") else None
        errors = analysis.standard_errors(found, x[:, None], bias_correction=False, dispersion=scale)
        own = errors.on_model_scale(0)
        of = {"dispersion": truth.scale} if loss == "gamma" else {}
        yield {
            "model": f"GLM, {type(family).__name__}, {loss}",
            "coefficients": off(own.values[:, 0], truth.params),
            "standard errors": off(own.errors[:, 0], truth.bse),
            "log-likelihood": off(analysis.log_likelihood(found, x[:, None], **of), truth.llf),
        }


def exposed(rng: np.random.Generator) -> Iterator[Row]:
    """Additive effects beside exposures, offsets and trials."""
    shape = (7, 5)
    rows, columns = np.indices(shape).reshape(2, -1)
    table = np.column_stack([np.eye(shape[0])[rows], np.eye(shape[1])[columns][:, 1:]])
    e, o = 10.0 ** rng.uniform(-1, 1, shape), rng.normal(size=shape)
    level = rng.normal(size=(7, 1)) + rng.normal(size=5)
    n = rng.integers(5, 40, shape)
    k = rng.binomial(n, special.expit(level))
    families, nb = sm.families, gcp.NegativeBinomialLogit(r=2.0)
    mean = 5 * e * np.exp(level)
    counts, spread = rng.poisson(mean), rng.negative_binomial(2.0, 2.0 / (2.0 + mean))
    shifted, both = rng.poisson(np.exp(o + 1 + level)), np.column_stack([k.ravel(), (n - k).ravel()])
    for name, loss, x, theirs, family, given in (
        ("Poisson, exposure", "poisson-log", counts, counts, families.Poisson(), {"exposure": e}),
        (
            "negative binomial, exposure",
            nb,
            spread,
            spread,
            families.NegativeBinomial(alpha=0.5),
            {"exposure": e},
        ),
        ("Poisson, offset", "poisson-log", shifted, shifted, families.Poisson(), {"offset": o}),
        ("binomial, trials", "bernoulli-logit", k, both, families.Binomial(), {"trials": n}),
    ):
        more = {} if "trials" in given else {key: value.ravel() for key, value in given.items()}
        y = theirs if theirs is both else theirs.ravel()
        truth = sm.GLM(y, table, family=family, **more).fit(tol=1e-13, maxiter=200)
        options = {"main_effects": True, "tol": 1e-14, "n_iter_max": 2000}
        found = gcp.fit_gcp(x, 0, loss=loss, **options, **given)
        judged = analysis.information_criteria(found, x, **given)
        expected = found.predict(**({} if "trials" in given else given))
        yield {
            "model": f"GLM, {name}",
            "means": off(expected.ravel(), truth.mu),
            "log-likelihood": off(judged.log_likelihood, truth.llf),
            "AIC": off(judged.aic, truth.aic),
            "deviance": off(analysis.deviance(found, x, **given).deviance, truth.deviance),
        }


def of_rows(x: np.ndarray, loss: gcp.Loss) -> gcp.FitResult:
    """Return the fit of one number m for each row."""
    ones = [np.ones((len(x), 1)), np.ones((x.shape[1], 1))]
    options = {"init": ones, "fixed_modes": [1], "random_state": 0, "tol": 1e-12, "n_iter_max": 2000}
    return gcp.fit_gcp(x, 1, loss=loss, **options)


def estimated(rng: np.random.Generator) -> Iterator[Row]:
    """Parameters of losses that the fit estimates, beside a mean for each of three rows."""
    rows = np.kron(np.eye(3), np.ones((N, 1)))
    mean = np.array([2.0, 5.0, 0.9])[:, None]
    counts = np.where(rng.random((3, N)) < 0.3, 0.0, rng.poisson(mean, (3, N)))
    spread = np.where(rng.random((3, N)) < 0.3, 0.0, rng.negative_binomial(2.0, 2 / (2 + 3 * mean), (3, N)))
    ones = np.ones((3 * N, 1))
    for name, loss, x, cls in (
        ("zero-inflated Poisson", gcp.ZeroInflatedPoisson(), counts, count_model.ZeroInflatedPoisson),
        (
            "zero-inflated negative binomial",
            gcp.ZeroInflatedNegativeBinomial(),
            spread,
            count_model.ZeroInflatedNegativeBinomialP,
        ),
    ):
        truth, found = cls(x.ravel(), rows, exog_infl=ones).fit(**SEARCH), of_rows(x, loss)
        yield {
            "model": name,
            "means": off(found.predict()[:, 0] / (1 - found.loss.gate), np.exp(truth.params[1:4])),
            "parameters": off(found.loss.gate, special.expit(truth.params[0])),
            "log-likelihood": off(analysis.log_likelihood(found, x), truth.llf),
            "AIC": off(analysis.information_criteria(found, x).aic, truth.aic),
        }
    found = of_rows(counts, gcp.HurdlePoisson(by=0))
    models = [
        truncated_model.HurdleCountModel(x, ones[:N], dist="poisson", zerodist="poisson") for x in counts
    ]
    fits = [model.fit(**SEARCH) for model in models]
    yield {
        "model": "hurdle Poisson, a gate for each row",
        "means": off(found.model_values()[:, 0], [np.exp(fit.params[1]) for fit in fits]),
        "log-likelihood": off(analysis.log_likelihood(found, counts), sum(fit.llf for fit in fits)),
    }
    plain = rng.negative_binomial(2.0, 2 / (2 + mean), (3, N)).astype(float)
    found = of_rows(plain, gcp.NegativeBinomial(r="estimate", by=0))
    fits = [discrete_model.NegativeBinomial(x, ones[:N]).fit(**SEARCH) for x in plain]
    yield {
        "model": "negative binomial, an r for each row",
        "means": off(found.predict()[:, 0], [np.exp(fit.params[0]) for fit in fits]),
        "parameters": off(found.loss.r, [1 / fit.params[1] for fit in fits]),
        "log-likelihood": off(analysis.log_likelihood(found, plain), sum(fit.llf for fit in fits)),
    }
    z = np.array([0.0, 1.0, -0.7])[:, None] + rng.logistic(size=(3, N))
    ordered = 1.0 + np.sum(z[..., None] > [-1.0, 0.2, 1.5], axis=-1)
    truth = OrderedModel(ordered.ravel(), rows[:, 1:], distr="logit").fit(**SEARCH)
    found = of_rows(ordered, gcp.Ordinal(n_levels=4, thresholds="estimate"))
    m = found.model_values()[:, 0]
    cuts = truth.model.transform_threshold_params(truth.params[2:])[1:-1]
    yield {
        "model": "ordered logit",
        "means": off(m[1:] - m[0], truth.params[:2]),
        "parameters": off(np.array(found.loss.thresholds) - m[0], cuts),
        "log-likelihood": off(analysis.log_likelihood(found, ordered), truth.llf),
    }
    x, m = gcp.Tweedie(1.6).sample_dispersed(np.full(N, 2.0), rng, 1.4), rng.gamma(2.0, 1.0, N)
    family = sm.families.Tweedie(var_power=1.6, eql=False)
    yield {
        "model": "Tweedie, density",
        "log-likelihood": off(
            gcp.Tweedie(1.6).log_likelihood(x, m, 1.4), family.loglike_obs(x, m, scale=1.4)
        ),
        "deviance": off(gcp.Tweedie(1.6).deviance(x, m).sum(), family.deviance(x, m)),
    }


def page(tables: dict[str, list[Row]]) -> str:
    """Return the page's text."""
    lines = [INTRODUCTION.format(version=statsmodels.__version__)]
    for title, rows in tables.items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines += [f"\n## {title}\n", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join(row.get(name, "") for name in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--print", action="store_true", help="print the page, and write nothing")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    text = page(
        {
            "Designed factors": list(regressions(np.random.default_rng(0))),
            "Exposure, offset, trials": list(exposed(np.random.default_rng(1))),
            "Losses with parameters": list(estimated(np.random.default_rng(2))),
        }
    )
    if given.print:
        print(text)
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
