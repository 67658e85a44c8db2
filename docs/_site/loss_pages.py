"""A page for each loss: when to take it, a picture of f and of the data that it expects, its formulas, an example."""

from __future__ import annotations

import contextlib
import io
import tomllib
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import gcp

ADVICE = tomllib.loads((Path(__file__).parent / "losses.toml").read_text(encoding="utf-8"))
COLORS = "#0072B2", "#D55E00", "#009E73"


def index() -> str:
    """Return the page that lists the losses."""
    head = "# A page for each loss\n\n| loss | when |\n|---|---|\n"
    rows = "".join(f"| [`{name}`]({name}.md) | {ADVICE[name]['when']} |\n" for name in gcp.available_losses())
    names = "\n".join(gcp.available_losses())
    return f"{head}{rows}\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def page(name: str, folder: Path) -> str:
    """Return the page of a loss; its picture goes into the folder."""
    advice, loss = ADVICE[name], known(name)
    words = draw(name, loss, folder / f"{name}.png")
    code = example(name, advice)
    kind = type(loss).__name__
    return f"""# {name}

{advice["when"]}

**When it fails.** {advice["fails"]}

```{{image}} {name}.png
:alt: {words}
```

{caption(loss)}

## Formulas

```{{eval-rst}}
.. autoclass:: gcp.{kind}
   :noindex:
```

## An example

Simulated data of two components; the score is 1 where the fit finds them as they were drawn.

```python
{code}```

It prints

```text
{run(code)}```

Reference: {{py:obj}}`gcp.{kind}`. All of them: [a page for each loss](index.md).
"""


def known(name: str) -> Any:
    """Return an instance of which every parameter is a number, for pictures."""
    loss = gcp.get_loss(name)
    is_open = [getattr(loss, field.name) == "estimate" for field in fields(loss)]
    return type(loss).examples()[0] if any(is_open) or name == "quantile" else loss


def example(name: str, advice: dict[str, str]) -> str:
    """Return the code of the example."""
    loss = known(name)
    drawn = f'"{advice.get("draw", name)}"'
    if "draw" not in advice and loss != gcp.get_loss(name):
        given = {f.name: getattr(loss, f.name) for f in fields(loss) if f.name not in ("eps", "by")}
        drawn = f"gcp.{type(loss).__name__}({', '.join(f'{key}={value}' for key, value in given.items())})"
    options = advice.get("fit", "n_starts=2")
    options += "" if "n_starts" in options else ", n_starts=2"
    return (
        f"import gcp\n\n"
        f"data, truth = gcp.simulate((30, 20, 10), 2, {drawn}, random_state=0)\n"
        f'result = gcp.fit_gcp(data, 2, loss="{name}", {options}, random_state=0)\n'
        f"print(result.loss)\n"
        f'print(f"deviance explained {{result.training_deviance_explained:.3f}}")\n'
        f"score = gcp.analysis.factor_match_score(result, truth, weights=False).score\n"
        f'print(f"match with the truth {{score:.3f}}")\n'
    )


def run(code: str) -> str:
    """Return what the code prints; a warning is an error."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, "example", "exec"), {})
    return told.getvalue()


def caption(loss: Any) -> str:
    """Return what the two panels are."""
    text = "Left: the loss of three data against the model, above its least value."
    values = ", ".join(
        f"{f.name} = {getattr(loss, f.name)}" for f in fields(loss) if number(getattr(loss, f.name))
    )
    text += (
        " Right: data that are drawn where the mean is small and where it is large." if drawn(loss) else ""
    )
    return text + (f" Here {values}." if values else "")


def number(value: Any) -> bool:
    """Whether a parameter is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def drawn(loss: Any) -> bool:
    """Whether the loss has a distribution from which data can be drawn."""
    try:
        loss.sample(np.ones(1), np.random.default_rng(0))
    except gcp.GcpError:
        return False
    return True


def models(loss: Any) -> tuple[np.ndarray, list[float]]:
    """Return the models of the left panel, and the two of the right one."""
    if loss.model_domain.low == 0:
        return np.linspace(0.03, 8, 400), [1.0, 4.0]
    return np.linspace(-4, 4, 400), [-1.0, 1.0]


def data_of(loss: Any) -> list[float]:
    """Return three data that are in the domain."""
    domain = loss.data_domain
    if domain.integer and np.isfinite(domain.high):
        return [domain.low, domain.high] if domain.high == 1 else [1.0, 3.0, 5.0]
    if domain.low < 0:
        return [-1.0, 0.0, 2.0]
    low = domain.low + (0 if not domain.open_low else 0.5)
    return [float(low), 2.0, 5.0]


def draw(name: str, loss: Any, path: Path) -> str:
    """Draw f, and data if there is a distribution; return it in words."""
    from matplotlib.figure import Figure

    has_data = drawn(loss)
    figure = Figure(figsize=(7.2 if has_data else 4.0, 2.9), dpi=110, layout="constrained")
    axes = figure.subplots(1, 2 if has_data else 1, squeeze=False)[0]
    m, pair = models(loss)
    for x, color, style in zip(data_of(loss), COLORS, ("-", "--", "-."), strict=False):
        values = loss.value(np.full(m.shape, x), m)
        axes[0].plot(m, values - values.min(), style, color=color, label=f"x = {x:g}")
    axes[0].set(xlabel="model m", ylabel="f(x, m) above its least value", ylim=(-0.1, 6))
    if has_data:
        rng = np.random.default_rng(0)
        samples = [np.asarray(loss.sample(np.full(20_000, at), rng), float) for at in pair]
        bins = bins_of(loss, samples)
        names, colors = [f"m = {at:g}" for at in pair], COLORS[:2]
        if loss.data_domain.integer:
            axes[1].hist(samples, bins, density=True, color=colors, label=names)
        else:
            for sample, label, color in zip(samples, names, colors, strict=True):
                axes[1].hist(sample, bins, density=True, alpha=0.6, color=color, label=label)
        axes[1].set(xlabel="datum x", ylabel="frequency" if loss.data_domain.integer else "density")
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    told = ", ".join(f"{x:g}" for x in data_of(loss))
    words = f"The {name} loss of data {told} against models from {m[0]:.2g} to {m[-1]:.2g}."
    if has_data:
        words += " Histograms of data drawn at " + " and ".join(
            f"m = {at:g} (mean {sample.mean():.2f})" for at, sample in zip(pair, samples, strict=True)
        )
    return words


def bins_of(loss: Any, samples: list[np.ndarray]) -> Any:
    """Return the edges of a histogram of both samples, without the last hundredth."""
    low, high = np.quantile(np.concatenate(samples), [0.005, 0.995])
    if loss.data_domain.integer:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    return np.linspace(min(low, 0) if loss.data_domain.low == 0 else low, high, 50)
