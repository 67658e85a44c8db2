"""
How many components?
====================

Occupations of sons by occupations of their fathers in three countries.
"""

import gcp

pairs = gcp.datasets.load_yamaguchi()

# %%
# Held-out loss by rank: ``choice.plot()``
# ----------------------------------------

choice = gcp.select_rank(
    pairs, range(1, 5), "poisson", dirichlet_reg=54.0, n_splits=5, n_starts=2, random_state=0
)
choice.plot()

# %%
# The objective, and the likeness of starts: `gcp.plots.plot_objective_by_rank`, `gcp.plots.plot_similarity_by_rank`
# -------------------------------------------------------------------------------------------------------------------

found = [gcp.analysis.start_stability(pairs, rank, 5, loss="poisson", random_state=0) for rank in range(1, 6)]
gcp.plots.plot_objective_by_rank(found)

# %%

gcp.plots.plot_similarity_by_rank(found)

# %%
# The core: `gcp.plots.plot_core`
# -------------------------------
#
# Of a model of sums of products, the core is 1 on the diagonal and 0 elsewhere. Under the squared loss, with three
# components, it is not:

result = gcp.fit_gcp(pairs, 3, loss="gaussian", bounds=(0, None), n_starts=3, random_state=0)
gcp.plots.plot_core(gcp.analysis.core_tensor(result, pairs))
