"""
Counts by place and time
========================

Trips with the city bikes of Trondheim, Norway, in 2021: where they ended, on which day, in which hour. What
kinds of riding are there, and which stations are which kind?

Data: 69 stations x 231 days x 24 hours, from Trondheim Bysykkel (:doc:`licence </reference/datasets>`).
"""

import numpy as np

import gcp

bikes = gcp.datasets.load_trondheim_bikes()
print(bikes)

# %%
# The scheme is closed from one to five at night; these cells are masked, not zero.
#
# Choose
# ------
#
# Counts that vary more than Poisson ones. The negative binomial has a parameter for that, and the fit can
# estimate it. We look at ranks 1 to 4 by held-out *days in a row*, for what is asked is the pattern, not one
# hour between two others that are known.

choice = gcp.select_rank(
    bikes,
    range(1, 5),
    gcp.NegativeBinomial(r=3.4),
    scheme="blocks",
    mode="date",
    dirichlet_reg=0.0,
    n_splits=1,
    n_starts=1,
    random_state=0,
)
choice.plot()

# %%
# Each further component still helps, and less and less. Three can be read.

result = gcp.fit_gcp(bikes, 3, loss=gcp.NegativeBinomial(r="estimate"), random_state=0)
print(result.loss, f"deviance explained {result.training_deviance_explained:.1%}")
gcp.plots.plot_components(result)

# %%
# Read
# ----
#
# * One component is the afternoon and evening, on every day, most in May and June.
# * One is the morning, at seven and eight. It drops to nothing on some days: which ones?

days = np.asarray(bikes.labels.coords[1], "datetime64[D]")
weekday = (days.astype(int) + 3) % 7  # 0 is Monday
frame = result.to_frames()["date"]
print(frame.groupby(weekday).mean().round(3).rename_axis("weekday, 0 = Monday"))

# %%
# Saturdays and Sundays. The morning is the way to work, and nobody told the fit what a weekend is. The third
# component, noon, has its largest mean on Saturday.
#
# Stations
# --------
#
# Which stations are where people work, and which are where they go in the evening?

stations = result.to_frames()["station"]
shares = stations.div(stations.sum(axis=1), axis=0)
morning = result.to_frames()["hour"].loc[7].idxmax()
print("mostly in the morning:", *shares[morning].nlargest(4).index)
print("hardly in the morning:", *shares[morning].nsmallest(4).index)

# %%
# Where does it fail?
# -------------------
#
# The cells that the model finds least probable:

odd = gcp.analysis.anomalies(result, bikes, 5)
print(odd.to_frame())

# %%
# Several trips that end at one station in one hour, where one was expected: an event, or a van that rebalances. The
# model does not know; it says where to look.
