"""
Error bars
==========

Short answer: ``gcp.analysis.standard_errors(result, data)`` takes a moment and has the errors of all numbers in
the model. ``gcp.analysis.bootstrap`` draws new data from the model and fits again: slower, and right where the
first is not.

The data: 186,730 victims of traffic accidents in France in 1958, by age, result, means of transport and sex.
"""

import gcp

victims = gcp.datasets.load_accident()
result = gcp.fit_gcp(victims, 2, loss="poisson", n_starts=5, random_state=0)
errors = gcp.analysis.standard_errors(result, victims)
print(errors.to_frame().head(6).round(3).to_string())

# %%
# In the picture, whiskers are 95 % intervals:

gcp.plots.plot_components(result, errors=errors)

# %%
# or, of one mode, with the numbers side by side:

gcp.plots.plot_forest(result, errors, "transport")

# %%
# The bootstrap
# -------------
#
# Fifty new data sets from the fitted model; a hundred or more for a paper.

drawn = gcp.analysis.bootstrap(result, victims, 50, random_state=0)
gcp.plots.plot_forest(result, drawn, "transport")

# %%
# What they mean, and what not
# ----------------------------
#
# * They say how much the numbers would vary *if the model is right*: the rank, the loss, independent cells.
#   Counts that vary more than Poisson ones have larger errors; fit them with ``negative-binomial``.
# * A model with about as many numbers as there are cells has none, and gcp says so.
# * Entries at the bound 0 have no symmetric interval. The bootstrap shows what happens there.
# * A component that another start does not find has no meaningful error bar:
#   :doc:`look at that first <02_why_do_seeds_differ>`.
# * The intervals' coverage was measured on planted models: :doc:`/results`, under "coverage".
