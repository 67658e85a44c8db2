"""A single-cell analyst: counts of an AnnData, programmes of genes, and the cells' loadings back into it."""

import anndata
import numpy as np
import scipy.sparse

import gcp

rng = np.random.default_rng(0)
programmes, usage = rng.gamma(0.3, 1.0, (200, 4)), rng.gamma(0.5, 1.0, (300, 4))
cells = anndata.AnnData(scipy.sparse.csr_matrix(rng.poisson(usage @ programmes.T).astype(np.float32)))
cells.obs_names, cells.var_names = [f"cell {k}" for k in range(300)], [f"gene {k}" for k in range(200)]
cells.write_h5ad("cells.h5ad")

# job
counts = gcp.read_tensor("cells.h5ad")
model = gcp.fit_gcp(counts, 4, loss="poisson", n_starts=3, random_state=0)
print(model.summary())
print(model.to_anndata(cells))
