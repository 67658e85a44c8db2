"""An epidemiologist: a list of cases becomes counts by county, age and week; what is seasonal, how sure is that?"""

import numpy as np
import pandas as pd

import gcp

rng = np.random.default_rng(0)
counties, ages = [f"county {k}" for k in range(20)], ["0-4", "5-17", "18-64", "65+"]
season = 1 + np.cos(2 * np.pi * np.arange(104) / 52)
every_year = np.einsum("i,j,k->ijk", rng.gamma(2.0, 0.5, 20), [2.0, 1.0, 0.5, 1.5], season)
expected = every_year + np.einsum(
    "i,j,k->ijk", rng.gamma(2.0, 0.5, 20), [0.5, 1.0, 2.0, 1.0], np.linspace(0.2, 3, 104)
)
cells = np.repeat(np.argwhere(expected), rng.poisson(expected).ravel(), axis=0)
cases = pd.DataFrame(
    {
        "county": np.take(counties, cells[:, 0]),
        "age": np.take(ages, cells[:, 1]),
        "date": pd.Timestamp("2022-01-03")
        + pd.to_timedelta(7 * cells[:, 2] + rng.integers(0, 7, len(cells)), unit="D"),
    }
)  # a line for each case

# job
counts = gcp.from_frame(
    cases, ["county", "age", "date"], positions={"county": counties, "age": ages}, freq={"date": "W"}
)
print(gcp.suggest_loss(counts).suggestions[0])
model = gcp.fit_gcp(counts, 2, loss="poisson", n_starts=5, random_state=0)
print(model.summary())
errors = gcp.analysis.standard_errors(model, counts)
print(errors.to_frame())
gcp.plots.plot_components(model, errors=errors)[0, 0].figure.savefig("seasons.png")
gcp.write_report(model, counts, "seasons.html")
