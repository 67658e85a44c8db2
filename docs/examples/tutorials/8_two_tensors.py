"""
Two tensors that share subjects
===============================

The same people, measured twice: counts of what they did, by kind and by month, and a sheet of traits. Each tells
something of the people that the other lacks. A coupled fit gives both tensors the same factor of people.

Such data may not be shipped with the package, so **these are simulated**: 60 people of three habits, counts of 10
activities in 8 months of which a good third of the cells is known, and 12 traits with noise.
"""

import numpy as np
import xarray as xr

import gcp

rng = np.random.default_rng(1)
people = rng.gamma(1.0, 1.0, (60, 3))
activities, months, traits = (
    rng.gamma(1.0, 1.0, (10, 3)),
    rng.gamma(2.0, 1.0, (8, 3)),
    rng.standard_normal((12, 3)),
)
mean = np.einsum("ir,jr,kr->ijk", people, activities, months)
counts = rng.poisson(mean * 2 / mean.mean()).astype(float)
counts[rng.random(counts.shape) > 0.35] = np.nan
sheet = people @ traits.T + 0.6 * rng.standard_normal((60, 12))

names = [f"p{k:02}" for k in range(60)]
done = xr.DataArray(counts, {"person": names, "activity": np.arange(10), "month": np.arange(1, 9)})
told = xr.DataArray(sheet, {"person": names, "trait": [f"t{k}" for k in range(12)]})

# %%
# Not everybody filled in the sheet, and the rows are in another order. Positions are matched by their labels.

told = told.isel(person=rng.permutation(60)[:50])

# %%
# Fit
# ---
#
# A loss for each tensor. Modes of the same name share a factor: here ``person``.

data = {"done": done, "told": told}
result = gcp.fit_gcp(data, 3, loss={"done": "poisson", "told": "gaussian"}, n_starts=3, random_state=0)
print(result)

# %%
# Counts and traits have no unit in common. So each tensor counts by the noise that it has about the model: the weight
# of the sheet is 1 / (2 * variance), and the variance was planted as 0.36.

print(f"variance {1 / (2 * result.weights['told']):.2f}")

# %%
# Each tensor has a model like any other, with the same components in the same order:

gcp.plots.plot_components(result["done"], modes=["activity", "month"])

# %%

gcp.plots.plot_components(result["told"], modes=["trait"])

# %%
# Did it help?
# ------------
#
# We know what was planted, and can ask how similar the factor of people is to it: from both tensors together, and
# from each alone. A matrix alone cannot tell components from their mixtures; counts alone know little of each person.

alone = {
    "counts alone": gcp.fit_gcp(done, 3, loss="poisson", n_starts=3, random_state=0),
    "traits alone": gcp.fit_gcp(told, 3, loss="gaussian", n_starts=3, random_state=0),
}
rows = {name: [names.index(person) for person in data[name].person.values] for name in data}


def similarity(model, name):
    truth = (np.ones(3), [people[rows[name]]])
    own = (np.ones(3), [model.factors[model.labels.names.index("person")]])
    return gcp.analysis.factor_match_score(own, truth, weights=False).score


print(f"together      {similarity(result['done'], 'done'):.3f}")
print(f"counts alone  {similarity(alone['counts alone'], 'done'):.3f}")
print(f"traits alone  {similarity(alone['traits alone'], 'told'):.3f}")

# %%
# A new person who has only filled in the sheet
# ---------------------------------------------
#
# Her row of the shared factor follows from her traits, and with it what she is expected to do.

sheet_of_one = xr.DataArray(traits @ [2.0, 0.2, 0.2] + 0.6 * rng.standard_normal(12), {"trait": told.trait})
new = result.transform({"told": sheet_of_one.expand_dims(person=["new"])}, "person")
print(new.to_frame().round(2))

# %%
# Error bars use the data of all tensors, which is why a row of people has some that counts alone do not give:

errors = gcp.analysis.standard_errors(result, data, bias_correction=False)
print(errors["done"].to_frame().loc["factor"].loc["person"].head(3)[["estimate", "standard_error"]].round(3))

# %%
# ``result.save`` and `gcp.load` keep all of it in one file. On the command line:
# ``gcp fit --tensor done=done.csv --tensor told=told.csv --loss done=poisson,told=gaussian --rank 3``.
