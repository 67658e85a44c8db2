"""Amino-acid fluorescence, rank 3: the Tensor Toolbox's demonstration of GCP, and the known concentrations.

    python scripts/experiments/amino_acids.py [--quick] [--seed 0] [--out results/amino_acids] [--data DIR]

Reproduces the Tensor Toolbox's page "GCP with different losses on the amino acids data" (in its repository:
doc/html/gcp_opt_amino_doc.html). Facts quoted from there, as objective and fit (1 - ||X - M|| / ||X||, all entries):
- Gaussian 1.445110e6, 0.974951 (L-BFGS-B); with 35 % of the entries missing, others than here, 0.974844
- Huber(0.25), nonnegative: 8.3040e4, 0.973484
- gamma of the data clipped at 0, nonnegative: 2.7698e5, 0.403596; a wrong choice of loss, as the page says
- beta-divergence 0.75, nonnegative: 9.8180e6, 0.56936

The data hold 904 entries that are not positive, and a gamma variable is positive. The page clips them to 0, where its
loss x / (m + 1e-10) + log(m + 1e-10) goes down to log 1e-10 = -23 as the model goes to 0: its objective depends on
that constant. For comparison the same formula is fitted here as a custom loss; beside it, the gamma loss of the
positive entries alone, which has no such constant to depend on.

The tensor (5 samples x 201 emissions x 61 excitations) and the concentrations: R. Bro, PARAFAC: Tutorial and
applications, Chemom. Intell. Lab. Syst. 38 (1997) 149-171; offered for public use with citation, and not in this
package. Needed is amino_acids/amino_acids.npz (X, concentrations in the order Trp, Tyr, Phe, emission_nm,
excitation_nm) in the folder DIR or $GCP_DATA; X is `aminoacids.mat` of the Tensor Toolbox.

Writes fits.csv, run.json and amino_acids.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import begin, finish, load

import gcp

NAMES = ("Trp", "Tyr", "Phe")


def main() -> None:
    run = begin(__doc__, "amino_acids", quick="one start each")
    data = load(run, "amino_acids")
    x, known = data["X"], data["concentrations"]
    starts = 1 if run.quick else 5
    clipped = np.maximum(x, 0.0)
    zero_gamma = gcp.custom_loss(
        lambda x, m: x / (m + 1e-10) + np.log(m + 1e-10),
        data_domain=gcp.Interval(low=0.0),
        model_domain=gcp.Interval(low=0.0),
        name="gamma-with-zeros",
    )
    missing = np.random.default_rng(run.seed).random(x.shape) < 0.35
    cases = [
        ("Gaussian", x, {}, 1.445110e6, 0.974951),
        ("Gaussian, 35 % missing", x, {"mask": ~missing}, None, 0.974844),
        ("Huber(0.25)", x, {"loss": gcp.Huber(delta=0.25), "bounds": (0, None)}, 8.3040e4, 0.973484),
        ("gamma, clipped at 0", clipped, {"loss": zero_gamma}, 2.7698e5, 0.403596),
        ("gamma, positive entries", np.where(x > 0, x, np.nan), {"loss": "gamma"}, None, None),
        ("beta-divergence 0.75", clipped, {"loss": gcp.BetaDivergence(beta=0.75)}, 9.8180e6, 0.56936),
    ]
    rows, kept = [], {}
    print(
        f"{'':26}{'objective':>14}{'published':>12}{'fit':>11}{'published':>11}   correlation with Trp, Tyr, Phe"
    )
    for name, values, options, objective, fit in cases:
        result = gcp.fit_gcp(values, 3, n_starts=starts, random_state=run.seed, **options)
        model = result.predict()
        own_fit = 1 - float(np.linalg.norm(x - model) / np.linalg.norm(x))
        correlations = recovered(result.factors[0], known)
        row = {
            "case": name,
            "objective": result.objective,
            "published_objective": objective,
            "fit": own_fit,
            "published_fit": fit,
            "converged": result.converged,
            "seconds": round(result.seconds, 3),
        }
        rows.append(row | {f"correlation_{n}": float(c) for n, c in zip(NAMES, correlations, strict=True)})
        kept[name] = result
        told = [f"{value:.6g}" if value is not None else "" for value in (result.objective, objective)]
        fits = [f"{value:.6f}" if value is not None else "" for value in (own_fit, fit)]
        found = ", ".join(f"{c:.4f}" for c in correlations)
        print(f"{name:26}{told[0]:>14}{told[1]:>12}{fits[0]:>11}{fits[1]:>11}   {found}", flush=True)
    finish(run, "fits.csv", rows, draw(kept["Gaussian"], data), starts=starts)


def recovered(samples, known) -> np.ndarray:
    """Correlations with the known concentrations, under the assignment that is best in sum."""
    from scipy.optimize import linear_sum_assignment

    table = np.corrcoef(samples.T, known.T)[:3, 3:]
    component, acid = linear_sum_assignment(-table)
    return table[component[np.argsort(acid)], np.sort(acid)]


def draw(result, data):
    """The three components by mode, with wavelengths and samples."""
    labels = gcp.ModeLabels(
        ["sample", "emission (nm)", "excitation (nm)"],
        [np.arange(1, 6), data["emission_nm"], data["excitation_nm"]],
    )
    from dataclasses import replace

    return gcp.plots.plot_components(replace(result, labels=labels))


if __name__ == "__main__":
    main()
