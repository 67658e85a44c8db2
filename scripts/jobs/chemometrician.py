"""A chemometrician: fluorescence of mixtures by sample, emission, excitation; how many fluorophores, and how much?"""

import numpy as np
import xarray as xr

import gcp

rng = np.random.default_rng(0)
emission, excitation = np.arange(260.0, 460.0, 4.0), np.arange(230.0, 330.0, 4.0)


def bands(axis, centres, width):
    return np.exp(-(((axis[:, None] - centres) / width) ** 2))


amounts = rng.gamma(2.0, 1.0, (12, 3))
pure = np.einsum("jr,kr->jkr", bands(emission, [300, 350, 400], 25), bands(excitation, [250, 275, 300], 18))
measured = np.einsum("ir,jkr->ijk", amounts, pure) + 0.02 * rng.normal(size=(12, 50, 25))
scatter = np.abs(emission[:, None] - excitation[None, :]) < 12  # Rayleigh's, which no fluorophore explains
landscape = xr.DataArray(
    np.where(scatter, np.nan, measured),
    dims=("sample", "emission", "excitation"),
    coords={
        "sample": [f"S{k}" for k in range(12)],
        "emission": ("emission", emission, {"units": "nm"}),
        "excitation": ("excitation", excitation, {"units": "nm"}),
    },
)

# job
models = {
    rank: gcp.fit_gcp(landscape, rank, bounds=(0, None), n_starts=3, random_state=0) for rank in (2, 3, 4)
}
for rank, model in models.items():
    core = gcp.analysis.core_consistency(model, landscape)
    print(rank, f"{model.training_deviance_explained:.3%}", f"core consistency {core:.0f}")
print(gcp.analysis.split_half(landscape, 3, "sample", bounds=(0, None), random_state=0))
best = models[3]
print(best.to_frames(fitted=True)["sample"])
gcp.plots.plot_components(best)[0, 0].figure.savefig("fluorophores.png")
