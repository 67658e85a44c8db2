"""
A hold-out that is honest
=========================

Short answer: hide what you will have to predict. If you will know the neighbours of a missing cell, hide single
cells. If a whole week is missing when something breaks, hide blocks. New users: hide rows. The future: hide the
end.

The data: rain in India by region, month and year. The question is always how well the model predicts what it
has not seen; what changes is what is hidden.
"""

import numpy as np

import gcp

rain = gcp.datasets.load_india_rainfall()
wet = np.asarray(rain.values) > 0
schemes = {
    "single cells": {"scheme": "cells"},
    "runs of years": {"scheme": "blocks", "mode": "year", "gap": 2},
    "whole regions": {"scheme": "rows", "mode": "subdivision"},
}
for name, how in schemes.items():
    split = gcp.hold_out(rain, 0.1, 0, mask=wet, **how)
    scores = [
        split.judge(gcp.fit_gcp(split.train, rank, loss="gamma", random_state=0)).deviance_explained
        for rank in (1, 3, 8)
    ]
    print(f"{name:14s} deviance explained at rank 1, 3, 8: ", *(f"{score:.3f}" for score in scores))

# %%
# ``split.judge`` does what each scheme needs: rows that were held out are first fitted to a part of their own
# cells, with all else as it is, and judged by the rest.
#
# ``gap`` leaves cells on both sides of a block out of everything, because the year beside a hidden one tells on it.
#
# The future needs a model that says something about it: a penalty that ties neighbouring years, or a design. A
# plain CP model has no row for a year that it has not seen, and gcp refuses to judge it:

split = gcp.hold_out(rain, 0.1, 0, scheme="future", mode="year", mask=wet)
try:
    split.judge(gcp.fit_gcp(split.train, 3, loss="gamma", random_state=0))
except gcp.ParameterError as error:
    print(error)

# %%
# With a penalty that ties each year to the one before (``order=1``: what comes next is like the last), it is
# possible:

from gcp.penalties import Smooth

smooth = gcp.fit_gcp(split.train, 3, loss="gamma", penalties=[Smooth("year", 1e4, order=1)], random_state=0)
print(f"{split.judge(smooth).deviance_explained:.3f}")

# %%
# The months and regions are known, so that much of next year's rain is no news. `gcp.select_rank` and ``gcp fit
# --hold-out`` take the same schemes.
