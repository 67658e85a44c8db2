"""
Large data, and fits that take hours
====================================

Short answer: if most cells are zero or unknown, give a list of entries. If the array is larger than memory,
give the file. If the fit takes hours, give it a checkpoint. Each is one argument, and the minimum is that of
the data in memory.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np

import gcp

folder = Path(tempfile.mkdtemp())

# %%
# Mostly zeros
# ------------
#
# 155 million cells, of which 312,541 are listed. Zeros count, and cost nothing under a loss with a closed form
# of them (Gaussian, Poisson, Bernoulli-Poisson, beta-divergences 1 and 2).

aircraft = gcp.datasets.load_nyc_aircraft()
print(aircraft)
result = gcp.fit_gcp(aircraft, 3, loss="poisson", random_state=0)
print(result.summary())

# %%
# A file larger than memory
# -------------------------
#
# ``memory=`` says what may be used. The array is read in slabs, the next one while one is evaluated. (Imagine
# 12 GB.)

flights = gcp.datasets.load_nyc_flights()
np.save(folder / "large.npy", flights.values)
large = gcp.read_tensor(folder / "large.npy", memory="60kB")
print(large)
slabs = gcp.fit_gcp(large, 2, loss="poisson", random_state=0)
whole = gcp.fit_gcp(flights, 2, loss="poisson", random_state=0)
print(f"score of both {gcp.analysis.factor_match_score(slabs, whole.cp).score:.6f}")

# %%
# Also HDF5 and zarr, and ``numpy.memmap``.
#
# Stop and go on
# --------------
#
# The state is written every minute, and at the end. The same call goes on from it, to the same bits, whether it
# was killed or met a limit. Here the limit is ten iterations, twice. gcp warns that it was met, which we know:

warnings.simplefilter("ignore", gcp.ConvergenceWarning)
options = {"loss": "poisson", "random_state": 0, "checkpoint": folder / "flights.state"}
for n in (10, 20):
    fit = gcp.fit_gcp(flights, 3, n_iter_max=n, **options)
    print(n, fit.n_iter, round(fit.objective, 2))
straight = gcp.fit_gcp(flights, 3, n_iter_max=20, loss="poisson", random_state=0)
print("the same as without a break:", all(map(np.array_equal, fit.factors, straight.factors)))

# %%
# Several machines
# ----------------
#
# ``gcp.partition(data, client=client)`` sends parts to the workers of a Dask client; ``gcp fit --workers 4``
# does it from a shell. It is for tensors of 1e8 cells and more: :doc:`measured </benchmarks/workers>`.
#
# Containers and clusters
# -----------------------
#
# Compile ahead of use, in the image: ``gcp compile --loss poisson``. It fills the folder of the cache
# (``$GCP_CACHE_DIR``), which jobs then share.
