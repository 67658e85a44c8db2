"""
What did the fit find?
======================

Viewers of three networks in a week of 1995, by evening and quarter of an hour.
"""

import gcp

viewers = gcp.datasets.load_tv_viewing()
result = gcp.fit_gcp(viewers, 3, loss="poisson", n_starts=3, random_state=0)

# %%
# The components: `gcp.plots.plot_components`
# -------------------------------------------

gcp.plots.plot_components(result)

# %%
# Lines where positions are in order, colours for groups of positions, some modes only:

gcp.plots.plot_components(
    result, modes=["day", "time"], kinds={"time": "line"}, hue={"day": ["early"] * 3 + ["late"] * 2}
)

# %%
# How much is each worth: `gcp.plots.plot_shares`
# -----------------------------------------------
#
# Of offences in the states of the USA: what each component explains alone, and what is lost without it.

crimes, people = gcp.datasets.load_us_crimes(), gcp.datasets.load_us_population()
rates = gcp.fit_gcp(crimes, 3, loss="negative-binomial", exposure=people, n_starts=3, random_state=0)
gcp.plots.plot_shares(gcp.analysis.component_shares(rates, crimes, exposure=people))

# %%
# Two models side by side: `gcp.plots.plot_comparison`
# ----------------------------------------------------

gaussian = gcp.fit_gcp(viewers, 3, loss="gaussian", bounds=(0, None), n_starts=3, random_state=0)
gcp.plots.plot_comparison(result, gaussian, names=("Poisson", "Gaussian"))

# %%
# Means by position, observed and expected: `gcp.plots.plot_observed`
# -------------------------------------------------------------------

gcp.plots.plot_observed(result, viewers)
