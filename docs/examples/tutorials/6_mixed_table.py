"""
A table with several kinds of columns
=====================================

Age is a measurement, visits are a count, smoking is yes or no. One loss for all columns is wrong for most of
them. Give each its own: what the columns have in common is in the components, and each is judged in its own
terms.

No such table may be shipped with the package, so **this one is simulated**: 300 people, two hidden traits.
"""

import numpy as np

import gcp

rng = np.random.default_rng(0)
health, habits = rng.normal(size=(2, 300))
columns = {
    "age": 55 + 12 * health + 5 * rng.normal(size=300),
    "pressure": 130 + 12 * health + 6 * habits + 8 * rng.normal(size=300),
    "visits": rng.poisson(np.exp(0.8 + 0.5 * health)),
    "cigarettes": rng.poisson(np.exp(0.5 + 0.9 * habits)),
    "drinks": rng.poisson(np.exp(1 + 0.6 * habits)),
    "smokes": rng.random(300) < 1 / (1 + np.exp(-2.5 * habits)),
    "medicine": rng.random(300) < 1 / (1 + np.exp(-2 * health)),
}
for name in ("age", "pressure"):
    columns[name] = (columns[name] - columns[name].mean()) / columns[name].std()
people = gcp.DenseTensor(
    np.column_stack(list(columns.values())),
    labels=gcp.ModeLabels(["person", "variable"], [None, list(columns)]),
)
print(people)

# %%
# One loss for each variable
# --------------------------
#
# Real-valued columns are standardised; counts have a log link, yes and no a logit link. ``None`` stands for all
# variables that are not named. Models of several losses have no intercept, and counts and answers have a level:
# one component more than there are traits can hold it. The ridge keeps answers that could be separated
# perfectly from running off.

kinds = dict.fromkeys(("visits", "cigarettes", "drinks"), "poisson-log")
losses = {"variable": {"age": "gaussian", "pressure": "gaussian", **kinds, None: "bernoulli-logit"}}
options = {"loss": losses, "l2_reg": 1.0, "n_starts": 2, "random_state": 0}
result = gcp.fit_gcp(people, 3, **options)
print(result.summary())

# %%
# Weights of the losses are found by the fit: each variable is divided by its own dispersion, so that units cancel.
#
# What are the traits?
# --------------------

print(result.to_frames()["variable"].round(2))

# %%
# In a matrix, components may be mixed with each other: what is found is the space of the traits and the level,
# as in factor analysis. How well is it found? Explain each trait, which the fit has not seen, by the
# components:

design = np.column_stack([np.ones(300), result.factors[0]])
for name, trait in [("health", health), ("habits", habits)]:
    rest = trait - design @ np.linalg.lstsq(design, trait, rcond=None)[0]
    print(f"{name}: {1 - rest.var() / trait.var():.0%} of its variance")

# %%
# Predict a column from the others
# --------------------------------
#
# Hide a fifth of the answers about smoking, fit, and ask. Judge by that variable alone, with a mask.

hidden = np.zeros(people.shape, bool)
hidden[rng.random(300) < 0.2, list(columns).index("smokes")] = True
fit = gcp.fit_gcp(people, 3, mask=~hidden, **options)
chance = fit.predict()[hidden]
smokes = np.asarray(people.values)[hidden].astype(bool)
print(f"mean predicted probability: smokers {chance[smokes].mean():.2f}, others {chance[~smokes].mean():.2f}")
