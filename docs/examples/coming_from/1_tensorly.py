"""
Coming from TensorLy
====================

The names of arguments are TensorLy's where the thing is the same. A result unpacks like a ``CPTensor``, and
TensorLy's functions take it.

===================================================  ====================================================
TensorLy                                             gcp
===================================================  ====================================================
``parafac(x, rank)``                                 ``fit_gcp(x, rank, loss="gaussian")``
``non_negative_parafac(x, rank)``                    ``fit_gcp(x, rank, loss="gaussian", bounds=(0, None))``
``parafac(x, rank, mask=mask)``                      ``fit_gcp(x, rank, mask=mask)``, or NaN
``parafac(x, rank, fixed_modes=[0], init=cp)``       ``fit_gcp(x, rank, fixed_modes=[0], init=cp)``
``parafac(x, rank, l2_reg=0.1)``                     ``fit_gcp(x, rank, l2_reg=0.1)``
``cp_to_tensor(cp)``                                 ``result.predict()``, and ``cp_to_tensor(result)``
``cp_normalize(cp)``                                 always: columns of length 1, weights falling
``CP(rank)``                                         ``GCP(rank)``, which has ``transform``
===================================================  ====================================================

The same numbers
----------------
"""

import numpy as np
import tensorly as tl
from tensorly.decomposition import non_negative_parafac_hals, parafac

import gcp

x = np.asarray(gcp.datasets.load_tv_viewing().values, float)
theirs = parafac(x, 2, init="svd", n_iter_max=2000, tol=1e-12)
ours = gcp.fit_gcp(x, 2, loss="gaussian", n_starts=5, random_state=0)
print(f"squared error   TensorLy {np.sum((x - tl.cp_to_tensor(theirs)) ** 2):.2f}   gcp {ours.objective:.2f}")
print(f"components match {gcp.analysis.factor_match_score(ours, theirs).score:.4f}")

# %%
# Nonnegative:

theirs = non_negative_parafac_hals(x, 2, init="svd", n_iter_max=2000, tol=1e-12)
ours = gcp.fit_gcp(x, 2, loss="gaussian", bounds=(0, None), n_starts=5, random_state=0)
print(f"squared error   TensorLy {np.sum((x - tl.cp_to_tensor(theirs)) ** 2):.2f}   gcp {ours.objective:.2f}")

# %%
# Back and forth
# --------------

weights, factors = ours
print(np.abs(tl.cp_to_tensor(ours) - ours.predict()).max() < 1e-9)
again = gcp.fit_gcp(x, 2, loss="poisson", init=theirs, random_state=0)  # begin where TensorLy ended
print(again.converged)

# %%
# Known differences
# -----------------
#
# * A mask leaves cells out of the objective; TensorLy's ``parafac`` fills them in, in every step (EM). Both
#   have the same minima.
# * gcp's default start is random, and ``random_state`` decides it; ``init="svd"`` is there.
# * ``tol`` is another criterion: do not carry values over.
# * Backends other than NumPy are not there; ``n_threads`` is.
