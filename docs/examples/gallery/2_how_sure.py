"""
Has it converged, is it stable, how sure is it?
===============================================

Victims of traffic accidents in France in 1958.
"""

import gcp

victims = gcp.datasets.load_accident()
result = gcp.fit_gcp(victims, 2, loss="poisson", n_starts=5, random_state=0)

# %%
# The way down: `gcp.plots.plot_convergence`
# ------------------------------------------

gcp.plots.plot_convergence(result)

# %%
# Where starts end: `gcp.plots.plot_starts` and `gcp.plots.plot_similarity`
# -------------------------------------------------------------------------
#
# Of the occupations of sons and fathers, five components are too many, and starts end in different places.

pairs = gcp.datasets.load_yamaguchi()
found = gcp.analysis.start_stability(pairs, 5, 8, loss="poisson", random_state=0)
gcp.plots.plot_starts(found)

# %%

gcp.plots.plot_similarity(found)

# %%
# Intervals: `gcp.plots.plot_forest`, and whiskers on components
# --------------------------------------------------------------

errors = gcp.analysis.standard_errors(result, victims)
gcp.plots.plot_forest(result, errors, "age")

# %%

gcp.plots.plot_components(result, errors=errors)
