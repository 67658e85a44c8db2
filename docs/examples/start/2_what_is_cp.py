"""
What is CP?
===========

A tensor is a table with more than two directions, which are called *modes*. CP writes it as a sum of a few
*components*. A component is one simple pattern: a profile along each mode, multiplied together.

One component
-------------

Here is the number of television viewers in one week of 1995, in the United States: five evenings, eleven
quarters of an hour, three networks.
"""

import matplotlib.pyplot as plt
import numpy as np

import gcp

viewers = gcp.datasets.load_tv_viewing()
days, times, networks = viewers.labels.coords
one = gcp.fit_gcp(viewers, 1, loss="poisson", random_state=0)


def draw(tables, titles):
    """Draw an evening-by-time picture of every network, a line of pictures for each table."""
    figure, axes = plt.subplots(len(tables), 3, figsize=(7, 1.7 * len(tables)), sharex=True, sharey=True)
    for row, table, title in zip(axes, tables, titles, strict=True):
        for k, ax in enumerate(row):
            image = ax.imshow(table[:, :, k], vmin=0, vmax=700, cmap="viridis", aspect="auto")
            ax.set_yticks(range(5), [str(day)[:3] for day in days])
            ax.set_xticks([0, 4, 8], [str(times[i]) for i in (0, 4, 8)])
            ax.set_title(f"{networks[k]}, {title}", fontsize=9)
            peak = np.unravel_index(table[:, :, k].argmax(), table.shape[:2])
            ax.set_label(f"{title}, {networks[k]}: most viewers on {days[peak[0]]} at {times[peak[1]]}.")
    bar = figure.colorbar(image, ax=axes, label="viewers")
    bar.ax.set_label("<colorbar>")


draw([np.asarray(viewers.values), one.predict()], ["data", "one component"])

# %%
# With one component, every network has the same evening and the same week, only more or fewer viewers. That is what
# the product says: *expected viewers = (number for the day) x (number for the time) x (number for the network)*.

monday = one.predict({"day": days[0], "time": times[0], "network": networks[0]})
product = one.weights[0] * one.factors[0][0, 0] * one.factors[1][0, 0] * one.factors[2][0, 0]
print(f"{monday:.3f} = {product:.3f}")

# %%
# A sum of components
# -------------------
#
# Three components, three such products added up. Now a network may be strong on one evening and weak on another.

three = gcp.fit_gcp(viewers, 3, loss="poisson", n_starts=3, random_state=0)
draw([np.asarray(viewers.values), three.predict()], ["data", "three components"])

# %%
# What a fit gives you is not the sum but its parts: one *factor* for each mode, a table with a row for each
# position and a column for each component.

gcp.plots.plot_components(three)
for name, frame in three.to_frames().items():
    print(name, frame.shape)

# %%
# In a formula, with weights :math:`\lambda_r` and factors :math:`A, B, C`:
#
# .. math:: m_{ijk} = \sum_{r=1}^{R} \lambda_r \, A_{ir} B_{jr} C_{kr}
#
# The columns of the factors have length 1, so that the weight says how large a component is.
#
# Why not flatten the table?
# --------------------------
#
# You could put the modes behind each other and use a method for matrices. Then every pair of day and time is a
# column of its own, and the model no longer knows that Monday at eight and Tuesday at eight have eight o'clock
# in common. The tensor model needs far fewer numbers for the same data:

flat = viewers.values.reshape(5 * 11, 3)
print("three components of the tensor:", gcp.analysis.n_parameters(three), "free numbers")
flat_model = gcp.fit_gcp(flat, 2, loss="poisson", random_state=0)
print("two components of the flattened matrix:", gcp.analysis.n_parameters(flat_model), "free numbers")

# %%
# The second reason is that the parts of a tensor model are, as a rule, unique. Two components of a matrix can
# be mixed without changing their sum, which is why factor analysis has rotations. Three modes pin the
# components down. The exceptions are on the page about :doc:`starts that differ
# </auto/how_to/02_why_do_seeds_differ>`.
