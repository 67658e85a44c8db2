"""
Ratings with missing cells
==========================

Users rate films; most pairs have no rating, and that is not a zero. The steps are those for MovieLens and its
like. Films may not be shipped with a package, so **these ratings are simulated**, with two tastes that the fit
does not know.
"""

import numpy as np
import pandas as pd

import gcp

rng = np.random.default_rng(0)
users, films, bias = rng.normal(size=(300, 2)), rng.normal(size=(80, 2)), rng.normal(size=80) / 2
pairs = np.argwhere(rng.random((300, 80)) < 0.25)
stars = 3.3 + bias[pairs[:, 1]] + 0.7 * (users[pairs[:, 0]] * films[pairs[:, 1]]).sum(axis=1)
stars += 0.5 * rng.normal(size=len(pairs))
table = pd.DataFrame(
    {"user": pairs[:, 0], "film": pairs[:, 1], "stars": np.clip(np.rint(stars), 1, 5).astype(int)}
)
print(table.head(3), len(table), sep="\n")

# %%
# From a table
# ------------
#
# ``unlisted="missing"`` says that a pair without a line is unknown.

ratings = gcp.from_frame(table, ["user", "film"], value="stars", unlisted="missing")
print(ratings)

# %%
# How many tastes, and how much ridge?
# ------------------------------------
#
# Main effects are the biases of users and films. Rank 0 is the biases alone: whatever cannot beat it is not
# worth having.

choice = gcp.select_rank(
    ratings, [1, 2, 3], main_effects=True, l2_reg=(1.0, 3.0), n_splits=2, n_starts=1, random_state=0
)
print(choice)
choice.plot()

# %%
# Judge
# -----

train, test = gcp.hold_out(ratings, 0.1, random_state=1)
for rank in (0, 2):
    fit = gcp.fit_gcp(train, rank, main_effects=True, l2_reg=3.0, loss="gaussian", random_state=0)
    print(f"rank {rank}: error {gcp.analysis.prediction_scores(fit, test).rmse:.3f} stars (root mean square)")

# %%
# A list of ten films for each user, against what the user liked in the held-out part:

taste = gcp.fit_gcp(train, 2, main_effects=True, l2_reg=3.0, loss="gaussian", random_state=0)
print(gcp.analysis.ranking_scores(taste, test, "film", k=10, train=train, relevant=4))

# %%
# Recommend
# ---------

print(taste.top("film", {"user": 7}, n=5, exclude=train))

# %%
# A new user
# ----------
#
# Six ratings of somebody who is not in the table. All else stays, and the new row takes a moment.

new = pd.DataFrame({"user": "new", "film": [0, 5, 9, 20, 41, 60], "stars": [5, 1, 4, 2, 5, 3]})
visitor = gcp.from_frame(
    new, ["user", "film"], value="stars", unlisted="missing", positions={"film": ratings.labels.coords[1]}
)
print(taste.transform(visitor, "user").to_frame().round(3))

# %%
# Grades are ordered, and not numbers: ``loss="ordinal"`` takes them so, and gives the probability of each grade.
