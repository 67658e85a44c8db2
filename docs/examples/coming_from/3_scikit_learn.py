"""
Coming from scikit-learn
========================

`gcp.GCP` is an estimator: ``fit``, ``transform``, ``fit_transform``, ``inverse_transform``, ``get_params``,
``set_output``; it goes into pipelines and grid searches.

=====================================================  ===================================================================
scikit-learn                                           gcp
=====================================================  ===================================================================
``NMF(k)``                                             ``GCP(k, loss="gaussian", bounds=(0, None))``
``NMF(k, beta_loss="kullback-leibler", solver="mu")``  ``GCP(k, loss="poisson")``
``NMF(k, beta_loss=0.5, solver="mu")``                 ``GCP(k, loss=gcp.BetaDivergence(beta=0.5))``
``TruncatedSVD(k)``                                    ``GCP(k, loss="gaussian")``: the same subspace
``FactorAnalysis(k)``                                  ``fit_gcp(x, k, loss={1: ["gaussian"] * n})``: a variance by column
an imputer before the model                            nothing: NaN is left out
=====================================================  ===================================================================

The same numbers
----------------
"""

import numpy as np
from sklearn.decomposition import NMF
from sklearn.model_selection import GridSearchCV

import gcp

x = np.asarray(gcp.datasets.load_tv_viewing().values, float).reshape(55, 3)
options = {"init": "nndsvda", "max_iter": 20_000, "tol": 1e-10, "random_state": 0}
theirs = NMF(2, **options).fit(x)
ours = gcp.GCP(2, loss="gaussian", bounds=(0, None), n_starts=5, random_state=0).fit(x)
print(
    f"squared error      scikit-learn {theirs.reconstruction_err_**2:.2f}   gcp {ours.result_.objective:.2f}"
)

theirs = NMF(2, beta_loss="kullback-leibler", solver="mu", **options).fit(x)
ours = gcp.GCP(2, loss="poisson", n_starts=5, random_state=0).fit(x)
expected = ours.result_.predict()
divergence = np.sum(x * np.log(x / expected) - x + expected)
print(f"Kullback-Leibler   scikit-learn {theirs.reconstruction_err_**2 / 2:.3f}   gcp {divergence:.3f}")

# %%
# New rows, as usual:

print(ours.transform(x[:2]).round(2))

# %%
# A grid search judges ranks by cells of new samples that their rows have not seen:

search = GridSearchCV(gcp.GCP(loss="poisson", random_state=0), {"rank": [1, 2]}, cv=3).fit(x)
print(search.best_params_)

# %%
# Known differences
# -----------------
#
# * ``x`` may have more than two modes; ``mode=`` says which one the samples are.
# * The factor of samples has columns of length 1 and the weights are apart, where ``W`` of NMF holds all of the
#   scale.
# * Sparse matrices are counts with zeros, as in scikit-learn. Unknown cells are NaN or an `gcp.ObservedTensor`.
