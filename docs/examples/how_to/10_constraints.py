"""
Bounds, smooth factors, ties and known factors
==============================================

Short answer: what you know about a factor goes into the fit, not into a step after it.

==========================================  ===============================================
you know that a factor                      argument
==========================================  ===============================================
is nonnegative, or between two numbers      ``bounds={"time": (0, 1)}``
is smooth along its mode                    ``penalties=[Smooth("year", 10.0)]``
is small, or sparse                         ``Ridge``, ``Lasso``, ``l2_reg=``
is like its neighbours on a map             ``Graph("state", ...)``
is a curve, a season, a group, a feature    ``design={"week": gcp.designs.fourier(52, 2)}``
is the same in two modes                    ``tied_modes=[("subject", "object")]``
is known                                    ``init=..., fixed_modes=[...]``
==========================================  ===============================================
"""

import matplotlib.pyplot as plt
import numpy as np

import gcp
from gcp.penalties import Smooth

# %%
# Smooth, or a curve
# ------------------
#
# Wind speed in New York by airport, day of the year and hour. Days scatter; the year behind them does not.

wind = gcp.datasets.load_nyc_wind()
kind = {"loss": "gaussian", "bounds": (0, None), "random_state": 0}
fits = {
    "free": gcp.fit_gcp(wind, 1, **kind),
    "Smooth": gcp.fit_gcp(wind, 1, penalties=[Smooth("day_of_year", 1e5)], **kind),
    "bspline(8)": gcp.fit_gcp(wind, 1, design={"day_of_year": gcp.designs.bspline(8, cyclic=True)}, **kind),
}
figure, ax = plt.subplots(figsize=(7, 3))
for (name, fit), width in zip(fits.items(), (0.6, 2, 2), strict=True):
    ax.plot(fit.labels.coords[1], fit.factors[1][:, 0], lw=width, label=name)
ax.set(xlabel="day of the year 2013", ylabel="factor")
ax.legend(frameon=False, ncols=3)
ax.set_label(
    "Factor of the days: free it scatters from day to day; smooth and spline factors show a windy spring and a calm summer."
)

# %%
# The penalty acts on what the component adds to the model, so that no rescaling of the other factors evades it.
#
# The same factor in two modes
# ----------------------------
#
# Relations between nations, from whom to whom. Tied, a nation has one row whether it acts or is acted upon.

nations = gcp.datasets.load_nations()
tied = gcp.fit_gcp(
    nations, 2, loss="bernoulli-logit", l2_reg=0.5, tied_modes=[("subject", "object")], random_state=0
)
print(np.allclose(np.abs(tied.factors[0]), np.abs(tied.factors[1])))

# %%
# A known factor
# --------------
#
# The profile of the hours is taken from one airport, and held in the fit of the others.

known = gcp.fit_gcp(np.nan_to_num(wind.values[:1], nan=10.0), 2, **kind)
start = [np.ones((2, 2)), np.ones((365, 2)), known.factors[2]]
held = gcp.fit_gcp(wind.values[1:], 2, init=start, fixed_modes=[2], **kind)
print(np.abs(held.factors[2] - known.factors[2]).max())

# %%
# What goes with what, and the sentences with which the rest is refused: :doc:`/combinations`.
