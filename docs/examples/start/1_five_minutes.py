"""
Five minutes: from a file to named components
=============================================

In 2013, 336,776 flights left the three airports of New York City. The package has them as a table of counts. This
page reads the table from a file, finds three patterns in it, and gives them names. Nothing else is needed: install
gcp, and copy the code.

A file
------

A table with a line for each combination that occurred: where from, where to, in which month, at which hour, and how
many flights.
"""

import tempfile
from pathlib import Path

import gcp

folder = Path(tempfile.mkdtemp())
gcp.write_tensor(folder / "all.csv", gcp.datasets.load_nyc_flights())
lines = [line for line in (folder / "all.csv").read_text().splitlines() if not line.endswith(",0")]
(folder / "flights.csv").write_text("\n".join(lines) + "\n")
print(*lines[:5], sep="\n")

# %%
# Hours at which nothing flew are not in the file, and so not in the tensor. Your own file looks much the same.
# Say which column holds the number, and what a combination means that is not in the file. Here it means that
# nothing flew: zero. (Of ratings it would mean that nobody knows: ``"missing"``.)

flights = gcp.read_tensor(folder / "flights.csv", value="value", unlisted="zero")
print(flights)

# %%
# Which loss?
# -----------
#
# A loss says what kind of number the cells hold. If you are not sure, ask.

print(gcp.suggest_loss(flights))

# %%
# Counts. They vary more than Poisson counts would, which is the rule rather than the exception. Poisson is the
# simplest model of counts, and a good first one: it finds the mean pattern even where the counts scatter more.
#
# Fit
# ---
#
# Three components; the seed makes the result the same every time.

result = gcp.fit_gcp(flights, rank=3, loss="poisson", random_state=0)
print(result.summary())

# %%
# What you see
# ------------
#
# One row for each component, one column for each mode. Read a row from left to right: flights from *this*
# airport, to *these* destinations, in *these* months, at *these* hours.

axes = gcp.plots.plot_components(result, kinds={"month": "line", "hour": "line"})

# %%
# Each component has taken one airport, and the rest of its row says how that airport differs:
#
# * LaGuardia flies to Atlanta and Chicago, evenly over the day.
# * Kennedy flies to Los Angeles and San Francisco, in the morning and the late afternoon.
# * Newark flies to Chicago, Boston and San Francisco, most of all at six in the morning.
#
# Nobody told the fit which airport a flight belongs to beyond its label: that the airports are the pattern is what
# the data say. Names are yours to give:

names = {0: "LaGuardia", 1: "Kennedy", 2: "Newark"}
hours = result.to_frames()["hour"].rename(columns=names)
print(hours.idxmax())

# %%
# Ask the model
# -------------
#
# It expects a number for every cell, by label, and lists the largest ones.

at = {"origin": "JFK", "month": 7, "hour": 8}
print(result.predict(at | {"destination": ["BOS", "LAX"]}))
print(result.top("destination", at, n=3))

# %%
# Keep it
# -------

result.save(folder / "result.npz")
again = gcp.load(folder / "result.npz")
print(again == result)

# %%
# The same without Python::
#
#     gcp fit flights.csv --value value --unlisted zero --loss poisson --rank 3 --seed 0 --out result.npz --plot plot.png
#
# Next: :doc:`what the three components are <2_what_is_cp>`, and :doc:`how many to take
# </auto/how_to/01_how_many_components>`.
