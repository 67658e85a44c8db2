"""
From R, Julia and MATLAB, through files
=======================================

Short answer: write a table with a column for each mode and one for the number (CSV from anywhere), run ``gcp
fit``, and read the factors back as CSV. MATLAB's ``.mat`` is read and written directly.

Here are both directions, in Python and in a shell; what the other side does is written beside it.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import gcp

folder = Path(tempfile.mkdtemp())

# %%
# A CSV from anywhere
# -------------------
#
# R::
#
#     write.csv(as.data.frame(Titanic), "titanic.csv", row.names = FALSE)
#
# Julia::
#
#     CSV.write("titanic.csv", frame)
#
# The file has a column for each mode, and one with the number:

titanic = gcp.datasets.load_titanic()
gcp.write_tensor(folder / "titanic.csv", titanic)
print(pd.read_csv(folder / "titanic.csv").head(3))
read = gcp.read_tensor(folder / "titanic.csv", value="value")
print(read, int(read.values.sum()))

# %%
# The factors back
# ----------------

result = gcp.fit_gcp(read, 2, loss="poisson", n_starts=5, random_state=0)
for mode, frame in result.to_frames().items():
    frame.to_csv(folder / f"{mode}.csv")
print((folder / "class.csv").read_text())

# %%
# R: ``read.csv("class.csv", row.names = 1)``. Julia: ``CSV.read("class.csv", DataFrame)``. The weights:

print(result.weights.round(3))

# %%
# MATLAB
# ------
#
# MATLAB::
#
#     save('x.mat', 'X')
#
# gcp reads the array, and writes one:

gcp.write_tensor(folder / "titanic.mat", titanic)
print(gcp.read_tensor(folder / "titanic.mat"))

# %%
# NumPy's format, which R (RcppCNPy), Julia (NPZ.jl) and most languages read
# --------------------------------------------------------------------------
#
# A saved result is a zip archive of arrays; :doc:`what is in it </result-format>`.

result.save(folder / "result.npz")
with np.load(folder / "result.npz") as file:
    print([name for name in file.files if name.startswith(("weights", "factor"))])

# %%
# All formats (Arrow, parquet, Matrix Market, FROSTT's ``.tns``, netCDF, HDF5, zarr, AnnData, Tensor Toolbox
# text) are in the docstring of `gcp.read_tensor`.
