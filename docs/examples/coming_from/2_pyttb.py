"""
Coming from pyttb or the Tensor Toolbox
=======================================

===========================================================  =============================================================
pyttb                                                        gcp
===========================================================  =============================================================
``gcp_opt(X, 3, Objectives.POISSON, LBFGSB())``              ``fit_gcp(x, 3, loss="poisson")``
``Objectives.GAUSSIAN``                                      ``loss="gaussian"``
``Objectives.BERNOULLI_ODDS``, ``BERNOULLI_LOGIT``           ``loss="bernoulli-odds"``, ``"bernoulli-logit"``
``Objectives.POISSON_LOG``                                   ``loss="poisson-log"``
``Objectives.RAYLEIGH``, ``GAMMA``, ``HUBER``                ``loss="rayleigh"``, ``"gamma"``, ``gcp.Huber(delta=0.25)``
``Objectives.NEGATIVE_BINOMIAL``, ``BETA``                   ``gcp.NegativeBinomial(r=...)``, ``gcp.BetaDivergence(beta=...)``
a tuple (f, gradient, lower bound)                           ``gcp.custom_loss(f)``
``mask=W``                                                   ``mask=W``, or NaN
``Adam()``, ``SGD()``, with samplers                         ``solver="adam"``; sampling is chosen by the data
``sptensor(subs, vals, shape)``                              ``SparseTensor(subs, vals, shape)``
``cp_als(X, 3)``                                             ``fit_gcp(x, 3, loss="gaussian", solver="als")``
``cp_apr(X, 3)``                                             ``fit_gcp(x, 3, loss="poisson")``
``M1.score(M2)``                                             ``gcp.analysis.factor_match_score(m1, m2)``
``M.viz()``                                                  ``gcp.plots.plot_components(result)``
===========================================================  =============================================================

The same numbers
----------------
"""

import contextlib
import io
import logging

import numpy as np
import pyttb as ttb
from pyttb.gcp.handles import Objectives
from pyttb.gcp.optimizers import LBFGSB

import gcp

viewers = gcp.datasets.load_tv_viewing()
x = np.asarray(viewers.values, float)
rng = np.random.default_rng(1)
start = ttb.ktensor([rng.random((n, 2)) for n in x.shape], np.full(2, 100.0))
logging.getLogger().setLevel(logging.ERROR)  # pyttb notes every copy
optimizer = LBFGSB(maxiter=5000, maxfun=20_000, pgtol=1e-9, factr=10)
with contextlib.redirect_stdout(io.StringIO()):
    theirs, *_ = ttb.gcp_opt(ttb.tensor(x), 2, Objectives.POISSON, optimizer, init=start, printitn=0)
ours = gcp.fit_gcp(viewers, 2, loss="poisson", init=start)


def poisson_loss(model):
    return float(np.sum(model - x * np.log(model + 1e-10)))


print(
    f"Poisson loss   pyttb {poisson_loss(theirs.full().double()):.2f}   gcp {poisson_loss(ours.predict()):.2f}"
)
print(f"components match {gcp.analysis.factor_match_score(ours, theirs).score:.4f}")

# %%
# Back and forth
# --------------
#
# A ``ktensor`` is taken wherever gcp takes a model, as above for ``init=``; and the other way:

print(type(ours.to_pyttb()).__name__, np.allclose(ours.to_pyttb().full().double(), ours.predict()))

# %%
# MATLAB's Tensor Toolbox
# -----------------------
#
# ``gcp_opt(X, 3, 'type', 'count')`` is ``fit_gcp(x, 3, loss="poisson")``; other types by their names, which
# `gcp.get_loss` knows. Its text files (``export_data``) are read and written by `gcp.read_tensor` and
# `gcp.write_tensor`, and ``.mat`` files too.
#
# Known differences
# -----------------
#
# * Weights fall, and columns have length 1 in the Euclidean norm.
# * The shift 1e-10 inside logarithms goes with the scale of the data here.
# * Two solvers may leave one start for two different minima. With a random start (seed 0 in place of 1 above)
#   they do.
