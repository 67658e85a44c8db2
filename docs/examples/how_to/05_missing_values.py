"""
Missing values, and zeros that are not zero
===========================================

Short answer: NaN is missing, and a missing cell is left out of the fit. Nothing is filled in. Three different
things look like an empty cell, and you must say which one yours is:

========================  =========================================  ==============================
the cell                  example                                    how
========================  =========================================  ==============================
is unknown                the gauge was broken                       NaN, ``mask=``, `ObservedTensor`
is zero                   nobody flew                                0, `SparseTensor`
cannot be                 a shop that is closed at night             ``mask=``, as if unknown
========================  =========================================  ==============================

The data: monthly rain in India; 358 cells are NaN.
"""

import numpy as np

import gcp

rain = gcp.datasets.load_india_rainfall()
print(rain)

# %%
# NaN
# ---

result = gcp.fit_gcp(rain, 3, loss="tweedie", random_state=0)
where = np.argwhere(np.isnan(rain.values))[:3]
print(where)
print(result.predict(where).round(1))

# %%
# The model has a value for every cell, so that a fit is also a way to fill gaps. How good is it? Hide cells
# that you know, and compare.

train, test = gcp.hold_out(rain, 0.1, random_state=0)
filled = gcp.fit_gcp(train, 3, loss="tweedie", random_state=0)
means = gcp.fit_gcp(train, 1, loss="tweedie", random_state=0)
for name, model in [("3 components", filled), ("1 component", means)]:
    print(f"{name}: mean absolute error {gcp.analysis.prediction_scores(model, test).mae:.1f} mm")

# %%
# A mask
# ------
#
# True is observed. A mask of some of the modes is broadcast by name if it has names; one with NumPy's rules if
# not. Here the gamma loss, which needs amounts above 0, is fitted to wet months only:

wet = np.asarray(rain.values) > 0
gamma = gcp.fit_gcp(rain, 3, loss="gamma", mask=wet, random_state=0)
print(f"{gamma.training_deviance_explained:.3f}")

# %%
# That changes the question: it is the model of the rain *in months with rain*. With ``tweedie`` or
# ``hurdle-gamma`` the dry months are data.
#
# Lists of entries
# ----------------
#
# A list does not say what it leaves out. The same three lines, read in two ways:

subs, values = np.array([[0, 0], [0, 1], [2, 1]]), np.array([5.0, 3.0, 4.0])
zeros = gcp.SparseTensor(subs, values, (3, 2))
unknown = gcp.ObservedTensor(subs, values, (3, 2))
for tensor in (zeros, unknown):
    model = gcp.fit_gcp(tensor, 1, loss="poisson", random_state=0)
    print(
        tensor,
        "known cells:",
        tensor.n_known,
        " all together the model expects",
        round(model.predict().sum(), 1),
    )

# %%
# Ratings that nobody gave are unknown. Read as zeros, they say that everybody dislikes nearly everything.
#
# Nothing is known of a whole position
# ------------------------------------
#
# Then no number in the model can be found for it. gcp says so, in the summary and in ``result.unknown``, and
# predicts with the mean row of the others.

bikes = gcp.datasets.load_trondheim_bikes()
closed = gcp.fit_gcp(bikes, 2, loss="negative-binomial", random_state=0)
print(closed.unknown)

# %%
# The stations are closed from one to five in the morning: those cells cannot be, and are masked.
