"""
Rates, populations and weights
==============================

Short answer: if a cell counts what happened to more or fewer people (hours, miles, reads), give their number as
``exposure=``. The model is then of the rate. A weight is something else: it says how much a cell *counts* in
the fit.

California had about seventy times the people of Wyoming. Components of counts tell above all where people live:
"""

import numpy as np
from scipy.stats import spearmanr

import gcp

crimes, people = gcp.datasets.load_us_crimes(), gcp.datasets.load_us_population()
print(crimes, people, sep="\n")

# %%
# Offences are by state, year and kind; people by state and year. Both have names, and are matched by them.

kind = {"loss": "negative-binomial", "n_starts": 3, "random_state": 0}
counts = gcp.fit_gcp(crimes, 2, **kind)
rates = gcp.fit_gcp(crimes, 2, exposure=people, **kind)

size = np.where(people.entry_weights, people.values, np.nan)
size = np.nanmean(size, axis=1)
for name, fit in [("counts", counts), ("rates", rates)]:
    found = [spearmanr(fit.factors[0][:, r], size).statistic for r in range(2)]
    print(f"{name}: rank correlation of the states' numbers with population", np.round(found, 2))

# %%
# Predictions of the model with exposure are rates, per person and year. Times people they are counts:

print(rates.predict({"state": "CA", "year": [1980, 2019], "offence": "burglary"}).round(4))

# %%
# Analysis needs the exposure again, for the model alone does not know how many people there were:

print(f"{gcp.analysis.prediction_scores(rates, crimes, exposure=people).deviance_explained:.3f}")

# %%
# Weights
# -------
#
# ``entry_weights=2`` counts a cell twice, 0 leaves it out. Use them for cells measured with different
# precision, or to look more closely at a part. Here recent years count for more:

recent = np.linspace(0.1, 1.0, 41)[None, :, None]
weighted = gcp.fit_gcp(crimes, 2, exposure=people, entry_weights=recent, **kind)
print(f"{gcp.analysis.factor_match_score(rates, weighted).score:.2f}")

# %%
# =============  =====================================================================
# argument       it says
# =============  =====================================================================
# ``exposure``   the expected number is the model times this (counts, amounts)
# ``offset``     this is added to the model (models of any sign)
# ``trials``     the cell is so many yes-or-no trials (Bernoulli losses)
# weights        the cell counts so many times in the fit; the model is the same
# =============  =====================================================================
#
# Dividing by population first and fitting the ratios would lose what makes counts from large states surer.
