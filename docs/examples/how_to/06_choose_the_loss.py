"""
Which loss?
===========

Short answer: start from what the cells *are* (the chart), ask `gcp.suggest_loss`, and settle doubts by cells
that the fit has not seen.
"""

import matplotlib.pyplot as plt
import xarray as xr

import gcp

ROWS = [
    ("yes or no", "", "bernoulli-logit"),
    ("a grade, 1 to 5", "", "ordinal"),
    ("a count", "scatters like its mean", "poisson"),
    ("", "scatters more", "negative-binomial"),
    ("", "more zeros than that", "zero-inflated-... or hurdle-..."),
    ("an amount above 0", "scatter grows with it", "gamma"),
    ("", "heavy right tail", "inverse-gaussian"),
    ("an amount, often exactly 0", "", "tweedie or hurdle-gamma"),
    ("a real number", "even scatter", "gaussian"),
    ("", "a few wild values", "huber or student-t"),
    ("", "a quantile is asked for", "quantile"),
]
figure, ax = plt.subplots(figsize=(7.2, 4.4))
ax.axis("off")
ax.set(xlim=(0, 10.4), ylim=(-len(ROWS), 1))
for x, head in [(0, "a cell holds"), (3.7, "and"), (6.4, "take loss=")]:
    ax.text(x, 0.3, head, weight="bold")
for i, (kind, detail, name) in enumerate(ROWS):
    if kind and i:
        ax.axhline(-i - 0.35, color="0.85", lw=0.8)
    ax.text(0, -i - 0.8, kind)
    ax.text(3.7, -i - 0.8, detail)
    ax.text(6.4, -i - 0.8, name, family="monospace", color="#0072B2")
ax.set_label(
    "A chart from what a cell holds to a loss. "
    + "; ".join(" ".join(part for part in row if part) for row in ROWS)
    + "."
)

# %%
# Ask
# ---
#
# `suggest_loss` looks at the type and range of the data, and at how the variance grows with the mean: with the
# power 1 for Poisson counts, 2 for gamma amounts and overdispersed counts, 0 for even scatter.

trips = gcp.datasets.load_trondheim_bikes()
coords = dict(zip(trips.labels.names, trips.labels.coords, strict=True))
bikes = (
    xr.DataArray(trips.values, coords).where(trips.entry_weights).isel(date=slice(60))
)  # sixty days from April on
found = gcp.suggest_loss(bikes)
print(f"{found.best}: the variance grows with the power {found.power:.2f} of the mean")
for suggestion in found.suggestions[:2]:
    print(suggestion)

# %%
# Which losses do the data admit at all, and why not the others? ``gcp info trondheim_bikes`` lists them.
#
# Settle it by cells that are not seen
# ------------------------------------
#
# Losses of the same kind of data can be compared by the probability that they give to held-out cells. The
# logarithmic score is minus its logarithm, the mean over the cells: lower is better.

train, test = gcp.hold_out(bikes, 0.1, random_state=0)
fits = [
    gcp.fit_gcp(train, 3, loss=loss, random_state=0)
    for loss in ("poisson", gcp.NegativeBinomial(r="estimate"))
]
for fit in fits:
    print(f"{fit.loss.name:18s} {gcp.analysis.proper_scores(fit, test).logarithmic:.4f}")

# %%
# A test says the same of a Poisson fit:

print(gcp.analysis.dispersion_test(fits[0], train).advice)

# %%
# Look at the residuals
# ---------------------
#
# Under the right loss, randomised quantile residuals of new cells are standard normal, whatever the data are:
# they lie on the line.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6))
for ax, fit in zip(axes, fits, strict=True):
    gcp.plots.plot_residuals(fit, test, ax=ax)
    ax.set_title(fit.loss.name)

# %%
# Different kinds of data, such as a column of counts beside one of yes and no, need no common loss: see
# :doc:`/auto/tutorials/6_mixed_table`. A formula of your own: :doc:`/extending`.
