"""
Amounts with zeros
==================

Rain falls or not; when it falls, the amount scatters in proportion to its mean. Neither the squared loss nor
the gamma loss fits that: the one takes a wet month for a disaster, the other has no zero. The Tweedie loss has
both in one formula.

Data: monthly rain in 36 regions of India, 1901 to 2015, in mm (India Meteorological Department;
:doc:`licence </reference/datasets>`).
"""

import numpy as np

import gcp

rain = gcp.datasets.load_india_rainfall()
amounts = np.asarray(rain.values)
known = amounts[~np.isnan(amounts)]
print(rain)
print(f"{(known == 0).mean():.1%} of the known months have no rain; the largest has {known.max():.0f} mm")

# %%
# Which loss do the data speak for?

found = gcp.suggest_loss(rain)
print(found.best, f"(the variance grows with the power {found.power:.2f} of the mean)")

# %%
# Fit
# ---

result = gcp.fit_gcp(rain, 3, loss="tweedie", random_state=0)
print(result.summary())
gcp.plots.plot_components(result, kinds={"month": "bar"})

# %%
# Three kinds of rain: the monsoon of the west coast, from June to September; rain before and after it, in May
# and October, in the south and on the islands; and rain in the Himalaya in August and again in February and
# March. The regions with the most of each, and the month of its peak:

regions = result.to_frames()["subdivision"]
for component in range(3):
    peak = result.to_frames()["month"][component].idxmax()
    print(f"{peak}:", *regions[component].nlargest(3).index, sep="  ")

# %%
# Does the loss matter?
# ---------------------
#
# Hide a tenth of the months, and ask for the error where it matters to a farmer: in months with little rain.

train, test = gcp.hold_out(rain, 0.1, random_state=0)
dry = test.values < 20
fits = {
    "gaussian": gcp.fit_gcp(train, 3, loss="gaussian", bounds=(0, None), random_state=0),
    "tweedie": gcp.fit_gcp(train, 3, loss="tweedie", random_state=0),
}
for name, fit in fits.items():
    error = np.abs(fit.predict(test.subs) - test.values)
    print(
        f"{name:9s} mean error in months below 20 mm: {error[dry].mean():5.1f} mm; in others: {error[~dry].mean():5.1f} mm"
    )

# %%
# Under the Tweedie loss the dry months are better, and the wet ones no better than under the squared loss,
# which looks at large errors alone. Which one you want depends on what an error costs.
#
# Is a year different from the others?
# ------------------------------------

gcp.plots.plot_slices(result, rain, "year")

# %%
# More on these data, against published figures: :doc:`/results`.
