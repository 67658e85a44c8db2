"""Fluorescence of natural waters: scatter masked, nonnegative components, smooth spectra, and how many there are.

    python scripts/experiments/eem_waters.py [--quick] [--seed 0] [--out results/eem_waters] [--data DIR]

Fifteen waters, each an excitation-emission matrix as it was measured. A sample scatters light, too: first- and
second-order Rayleigh bands near emission = excitation and twice that, and Raman bands of water about 3,400 per cm
below the excitation. No component of dissolved matter makes them, nor is there emission below the excitation: these
cells are set missing (within 20 nm of the Rayleigh bands, 15 nm of the Raman bands), which a CP model with a mask
takes as they are; elsewhere they are interpolated. Emission above 580 nm and excitation below 250 nm are left out:
there components of single wavelengths appear, steps and spikes of the instrument. Each sample is divided by the norm
of its cells, so that no strong water decides the spectra.

Ranks 2 to 6, nonnegative (Bro 1997), without a penalty and with `Smooth` of both spectra. The strength, the same for
both, is what held-out blocks of neighbouring wavelengths prefer: single cells, between neighbours that the fit has
seen, would hardly tell (`hold_out(scheme="blocks")`). Beside each other: the error at held-out blocks, the core
consistency (Bro and Kiers 2003), how well the spectra of random halves of the samples agree (factor match score, mean
of ten splits), and the waters whose leverage or residual stand out.

Found: the measures disagree. Held-out blocks prefer every further component, up to rank 6, which is pictured; the
core consistency falls to 5 % at rank 3; halves of the samples agree up to rank 3 (0.99), and not beyond (0.74 to
0.89). Three components are what fifteen waters repeat. Smoothness changes held-out errors by less than 3 %, and makes
halves agree better: 0.76 to 0.995 at rank 2, by 0.05 at ranks 4 to 6.

    gcp fit results/eem_waters/waters.nc --rank 3 --lower 0 --smooth emission=1 --smooth excitation=1 \\
        --starts 5 --seed 0 --out waters.npz --plot spectra.png

Data: eem_waters/eem_waters.npz (X, emission_nm, excitation_nm) in DIR or $GCP_DATA; they are `eem_list` of the R
package staRdom (M. Pucher et al., Water 11 (2019) 2366), which has its terms.

Writes waters.nc (the masked samples), heldout.csv, ranks.csv, outliers.csv, run.json and eem_waters.png.
"""

from __future__ import annotations

import numpy as np
from _experiment import BLUE, GREEN, ORANGE, PURPLE, RED, Run, panels

import gcp
from gcp.penalties import Smooth

STRENGTHS = (0.0, 0.1, 1.0, 10.0, 100.0)
RAYLEIGH, RAMAN, SHIFT = 20.0, 15.0, 3_400e-7  # nm, nm, per nm
EMISSION, EXCITATION = 580.0, 250.0
"""The highest and the lowest that is kept, nm."""
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, "0.4")


def main() -> None:
    run = Run(__doc__, "eem_waters", quick="ranks 2 and 3, two strengths, one split")
    ranks, strengths, splits, halves = (
        ((2, 3), (0.0, 1.0), 1, 2) if run.quick else (range(2, 7), STRENGTHS, 3, 10)
    )
    waters = masked(run.load("eem_waters/eem_waters.npz"))
    waters.to_netcdf(run.out / "waters.nc")
    rows = [row for rank in ranks for row in heldout(waters, rank, strengths, splits, run)]
    run.csv("heldout", rows)
    table, fits = [], {}
    for rank in ranks:
        own = [row for row in rows if row["rank"] == rank]
        best = min(strengths, key=lambda s, own=own: np.mean([r["error"] for r in own if r["strength"] == s]))
        for strength in dict.fromkeys((0.0, best)):
            row, fits[rank, strength] = judged(waters, rank, strength, halves, run)
            errors = [r["error"] for r in own if r["strength"] == strength]
            table.append(
                row | {"held-out error": float(np.mean(errors)), "its spread": float(np.std(errors))}
            )
    run.table("ranks", "Without a penalty, and at the strength that held-out blocks prefer", table)
    chosen = min(table, key=lambda row: row["held-out error"])
    best = fits[chosen["rank"], chosen["strength"]]
    run.table("outliers", f"The waters that stand out at rank {best.rank}", standing_out(best, waters))
    run.finish(draw(rows, fits, chosen))


def masked(arrays):
    """The samples as a DataArray, each of norm 1, with scatter missing."""
    import xarray

    x = arrays["X"].astype(float)
    emission, excitation = (arrays[f"{name}_nm"].astype(float) for name in ("emission", "excitation"))
    em, ex = emission[:, None], excitation[None]
    raman = 1 / (1 / ex - SHIFT)
    bands = (np.abs(em - ex) < RAYLEIGH) | (np.abs(em - 2 * ex) < RAYLEIGH) | (em < ex)
    bands |= (np.abs(em - raman) < RAMAN) | (np.abs(em - 2 * raman) < RAMAN)
    x[:, bands] = np.nan
    coords = {"water": np.arange(1, len(x) + 1), "emission": emission, "excitation": excitation}
    whole = xarray.DataArray(x, coords, list(coords)).sel(
        emission=slice(None, EMISSION), excitation=slice(EXCITATION, None)
    )
    return whole / np.sqrt((whole**2).sum(["emission", "excitation"]))


def fit(data, rank, strength, run, **options):
    penalties = [Smooth("emission", strength), Smooth("excitation", strength)] if strength else ()
    return gcp.fit_gcp(
        data,
        rank,
        loss="gaussian",
        bounds=(0, None),
        penalties=penalties,
        n_starts=1 if run.quick else 3,
        random_state=run.seed,
        **options,
    )


def heldout(waters, rank, strengths, splits, run) -> list[dict]:
    """Errors at held-out blocks of emissions, in shares of the root mean square."""
    rows = []
    for split in range(splits):
        parts = gcp.hold_out(waters, 0.15, run.seed + split, scheme="blocks", mode="emission")
        for strength in strengths:
            result = fit(parts.train, rank, strength, run)
            x, m = parts.test.values, result.predict(parts.test.subs)
            error = float(np.sqrt(np.mean((x - m) ** 2) / np.mean(x**2)))
            rows.append({"rank": rank, "strength": strength, "split": split, "error": error})
    print(f"rank {rank}: blocks done", flush=True)
    return rows


def judged(waters, rank, strength, halves, run):
    """What else tells of a rank: core consistency, split halves, roughness."""
    result = fit(waters, rank, strength, run)
    penalties = [Smooth("emission", strength), Smooth("excitation", strength)] if strength else ()
    options = {"bounds": (0, None), "penalties": penalties, "n_starts": 1 if run.quick else 3}
    split = gcp.analysis.split_half(
        waters, rank, "water", halves, loss="gaussian", random_state=run.seed, **options
    )
    rough = max(float(np.sum(np.diff(a, 2, axis=0) ** 2, axis=0).max()) for a in result.factors[1:])
    row = {
        "rank": rank,
        "strength": strength,
        "explained": round(result.training_deviance_explained, 4),
        "core consistency": round(gcp.analysis.core_consistency(result, waters), 1),
        "split-half match": round(float(split.scores.mean()), 3),
        "least of them": round(float(split.scores.min()), 3),
        "roughest spectrum": float(f"{rough:.2g}"),
    }
    return row, result


def standing_out(result, waters) -> list[dict]:
    """Leverage and residual of the waters, the three highest of each."""
    found = gcp.analysis.outliers(result, waters, "water")
    chosen = sorted({*np.argsort(found.leverage)[-3:], *np.argsort(found.deviance)[-3:]})
    return [
        {
            "water": str(found.labels[k]),
            "leverage": round(float(found.leverage[k]), 3),
            "residual in means of all": round(float(found.deviance[k] / found.deviance.mean()), 2),
        }
        for k in chosen
    ]


def draw(rows, fits, chosen):
    """Held-out errors, and the spectra without and with smoothing."""
    figure, axes = panels(2, 3, 11, 5.6)
    rank, strength = chosen["rank"], chosen["strength"]
    left = axes[0, 0]
    strengths = list(dict.fromkeys(row["strength"] for row in rows))
    for k, own_rank in enumerate(dict.fromkeys(row["rank"] for row in rows)):
        own = [
            np.mean([r["error"] for r in rows if (r["rank"], r["strength"]) == (own_rank, s)])
            for s in strengths
        ]
        left.plot(range(len(strengths)), own, "o-", ms=3, lw=1.2, color=COLORS[k], label=f"rank {own_rank}")
    left.set_xticks(range(len(strengths)), [f"{s:g}" for s in strengths])
    left.set_xlabel("strength of Smooth", fontsize=8)
    left.set_ylabel("error at held-out blocks", fontsize=8)
    axes[1, 0].axis("off")
    axes[1, 0].legend(*left.get_legend_handles_labels(), fontsize=7, frameon=False, loc="upper left")
    for line, own in enumerate((0.0, strength)):
        result = fits[rank, own]
        for column, mode in enumerate((1, 2), start=1):
            ax = axes[line, column]
            for r in range(result.rank):
                ax.plot(result.labels.coords[mode], result.factors[mode][:, r], lw=1.2, color=COLORS[r])
            ax.set_xlabel(f"{result.labels.names[mode]} (nm)", fontsize=8)
            ax.set_ylabel(f"rank {rank}, strength {own:g}", fontsize=8)
    return figure


if __name__ == "__main__":
    main()
