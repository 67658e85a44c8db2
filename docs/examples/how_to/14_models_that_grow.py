"""
A new day, every day
====================

Short answer: ``result = result.update(day, "date")`` gives the new day its row, and refreshes all other modes by what
the day says. The data of earlier days are not needed again: the result remembers what they said of the model, in a
few numbers for each row. ``gcp update model.npz day.csv`` does the same to a file.

Here: the city bikes of Trondheim. The model starts with 100 days, and then gets the others one by one.
"""

import xarray as xr

import gcp

bikes = gcp.datasets.load_trondheim_bikes()
coords = dict(zip(bikes.labels.names, bikes.labels.coords, strict=True))
arrivals = xr.DataArray(bikes.values, coords).where(bikes.entry_weights).isel(date=slice(230))
past = arrivals.isel(date=slice(100))
first = gcp.fit_gcp(past, 3, loss="negative-binomial", random_state=0)

# %%
# Some hours are missing, so that the first update wants to see the data of the fit once, as its ``history``. Later
# ones do without.

result = first
for k in range(100, arrivals.sizes["date"]):
    day = arrivals.isel(date=[k])
    result = result.update(day, "date", history=past if result is first else None)
print(result.shape, "|", result.message)

# %%
# How good is it?
# ---------------
#
# The share of deviance of the new days that is explained: by one fit of all days, which a stream cannot have, by the
# updates, and by the first model, which knows new days by their own rows alone (``transform``).

whole = gcp.fit_gcp(arrivals, 3, loss="negative-binomial", random_state=0)
late = arrivals.isel(date=slice(100, None))
rows = {
    "one fit of all days": whole.weights * whole.factors[1][100:],
    "an update each day": result.weights * result.factors[1][100:],
    "the first model": first.weights * first.transform(late, "date").rows,
}
models = dict(zip(rows, (whole, result, first), strict=True))
objective = gcp.build_objective(late.values, first.loss)
for name, model in models.items():
    value, _ = objective.value_and_grad([model.factors[0], rows[name], model.factors[2]])
    print(f"{name:20} {objective.share_explained(value):.3f}")

# %%
# The dates of all days are in the model now:

gcp.plots.plot_components(result, modes=["date", "hour"])

# %%
# What to know
# ------------
#
# * Nothing is forgotten unless you say so: ``half_life=30`` counts what is 30 days old half, ``window=90`` forgets
#   what is older than about 90 days. Where habits change, forget: the experiment ``drift`` among the results shows how
#   fast a new pattern is found.
# * New labels in other modes (a new station on a new day) are taken.
# * A day that lacks stations may have had no bikes there, or no data: say which, ``unlisted="zero"`` or ``"missing"``.
# * ``result.save`` keeps what is remembered. Another process, or another day, goes on from the file.
