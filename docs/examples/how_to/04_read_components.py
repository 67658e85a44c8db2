"""
How do I read the components?
=============================

Short answer: a component is a row of profiles, one for each mode, that go together. Read across the row:
*these* states, in *these* years, for *these* offences. Within a profile, heights compare positions. Between
components, compare weights or shares. What looks small next to a larger neighbour may still matter, so ask for
error bars.

The data: offences in the United States by state, year and kind, with the population as exposure, so that the
model is of rates.
"""

import numpy as np

import gcp

crimes, people = gcp.datasets.load_us_crimes(), gcp.datasets.load_us_population()
result = gcp.fit_gcp(crimes, 3, loss="negative-binomial", exposure=people, n_starts=3, random_state=0)
gcp.plots.plot_components(result)

# %%
# Largest and smallest
# --------------------
#
# The summary names the largest positions of each profile. A profile is also known by what it lacks:

for component in range(3):
    column = result.to_frames()["state"][component].sort_values()
    print(component, "least:", *column.index[:4], "  most:", *column.index[-4:][::-1])

# %%
# A common kind has large numbers everywhere
# ------------------------------------------
#
# Larceny is large in two of them, because it is most of all offences. What sets a component apart is seen by
# dividing by the average profile:

offences = result.to_frames()["offence"] * result.weights
print((offences / offences.mean(axis=1).to_numpy()[:, None]).round(2))

# %%
# A number near 3 says that the offence is nearly all in that component; near 1, that it is evenly spread. So
# component 0 is burglary and larceny, component 1 has more of the violent offences in the south, and component
# 2 is robbery, homicide and stolen cars, most of all in the District of Columbia.
#
# How much does a component matter?
# ---------------------------------
#
# The weight is the size of a component in the units of the model. For a loss that is not the squared one, that
# is not how much it explains. Shares are: what the component explains alone, and what is lost without it.

gcp.plots.plot_shares(gcp.analysis.component_shares(result, crimes, exposure=people))

# %%
# Components overlap, so that shares need not add up to the whole. A share alone may be below 0: that component
# by itself says less than one number for all cells would.
#
# Signs
# -----
#
# With a nonnegative loss (counts, amounts) all profiles are nonnegative, and a component only adds. With the
# others, signs go together: the largest entry of a column is made positive in every mode but the last. A minus
# in the last mode turns the meaning of the others around: nations that are high in the first component are
# those between which these relations are *rare*.

nations = gcp.datasets.load_nations()
ties = gcp.fit_gcp(nations, 2, loss="bernoulli-logit", l2_reg=0.5, n_starts=3, random_state=0)
print(ties.to_frames()["relation"][0].sort_values().head(4).round(2))

# %%
# Give names
# ----------
#
# When you know what a component is, keep its name with the tables you make. The name is your reading, not a result:

states = result.to_frames()["state"].rename(columns={0: "A", 1: "B", 2: "C"})
print(states.idxmax())
print(np.round(result.weights, 4))

# %%
# Before you believe a name: :doc:`is the component stable <02_why_do_seeds_differ>`, and
# :doc:`how sure are its numbers <07_error_bars>`?
