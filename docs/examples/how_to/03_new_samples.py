"""
What of new samples?
====================

Short answer: ``result.transform(new, mode)`` gives new positions of one mode their rows of the factor, and
leaves all else as it is. It is what ``transform`` is in scikit-learn, and `gcp.GCP` has that interface.

Here: stations of the city bikes of Trondheim. We fit 50 of them, and ask what kind of station the other 19 are.
"""

import xarray as xr

import gcp

bikes = gcp.datasets.load_trondheim_bikes()
coords = dict(zip(bikes.labels.names, bikes.labels.coords, strict=True))
arrivals = xr.DataArray(bikes.values, coords).where(bikes.entry_weights)
old, new = arrivals.isel(station=slice(50)), arrivals.isel(station=slice(50, None))
result = gcp.fit_gcp(old, 3, loss="negative-binomial", random_state=0)
gcp.plots.plot_components(result, modes=["date", "hour"])

# %%
# Late afternoon and evening; the morning, on working days only; noon. Now the new stations:

rows = result.transform(new, "station")
print(rows.to_frame().round(2).head())

# %%
# Which of the new stations have most of their arrivals in the morning, so that people work or study there?

frame = rows.to_frame()
print(frame.div(frame.sum(axis=1), axis=0).nlargest(3, 1).round(2))

# %%
# Are the rows any good? Compare with a fit that has seen all stations:

both = gcp.fit_gcp(arrivals, 3, loss="negative-binomial", random_state=0)
print(f"{gcp.analysis.factor_match_score(result, both, modes=['date', 'hour']).score:.3f}")

# %%
# The scikit-learn interface
# --------------------------

model = gcp.GCP(3, loss="negative-binomial", mode="station", random_state=0).fit(old)
print(model.transform(new)[:3].round(2))

# %%
# What it needs
# -------------
#
# * The other modes must be those of the fit: they are matched by their labels, in any order, and may be fewer.
# * A sample with *no* data gets no row from data. If you know something else about it (its place, its group,
#   its dose), fit with ``design=`` and ask ``result.predict_at``.
# * New positions at the *end of time* are a forecast: ``result.forecast(horizon, mode)``.
