"""
How good is it, and where does it fail?
=======================================

Links between nations, and offences in the states of the USA.
"""

import gcp

nations = gcp.datasets.load_nations()
train, test = gcp.hold_out(nations, 0.2, random_state=0)
links = gcp.fit_gcp(train, 3, loss="bernoulli-logit", l2_reg=0.5, n_starts=3, random_state=0)

# %%
# Ones before zeros: `gcp.plots.plot_roc`
# ---------------------------------------

gcp.plots.plot_roc(links, test)

# %%
# Are probabilities right: `gcp.plots.plot_calibration`
# -----------------------------------------------------

gcp.plots.plot_calibration(links, test)

# %%
# Is the distribution right: `gcp.plots.plot_residuals`
# -----------------------------------------------------

crimes, people = gcp.datasets.load_us_crimes(), gcp.datasets.load_us_population()
loss = gcp.NegativeBinomial(r="estimate", by="offence")
rates = gcp.fit_gcp(crimes, 3, loss=loss, exposure=people, random_state=0)
gcp.plots.plot_residuals(rates, crimes, exposure=people)

# %%
# Which positions fit badly: `gcp.plots.plot_slices`
# --------------------------------------------------

gcp.plots.plot_slices(rates, crimes, "state", exposure=people)

# %%
# Which positions are unlike the others: `gcp.plots.plot_outliers`
# ----------------------------------------------------------------

gcp.plots.plot_outliers(gcp.analysis.outliers(rates, crimes, "state", exposure=people))

# %%
# Which cells are surprising: `gcp.plots.plot_surprises`
# ------------------------------------------------------

odd = gcp.analysis.anomalies(rates, crimes, 100, exposure=people)
gcp.plots.plot_surprises(rates, odd, ("state", "year"))
