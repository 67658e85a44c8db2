"""What a model keeps of the problem that it solves: enough to judge it, to refit it, and to fit new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import Array
from gcp.objectives.designs.given_designs import Designs, basis_from_json
from gcp.objectives.penalties import graph, lasso, near, smooth  # noqa: F401  (files mention them by name)
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.shorthands import as_arguments
from gcp.objectives.penalties.total import Penalties


@dataclass(frozen=True)
class ProblemDescription:
    """The arguments that decided a problem, beside its data, loss and rank.

    Attributes
    ----------
    penalties : Penalties
    fixed_modes : tuple of int
    tied_modes : tuple of tuple of int
    effect_modes : tuple of int
        Modes with main effects.
    bounds : None, number, nested list of these, or dict of such by the name of the mode
        As they were given; a word stands for each array, which is not kept.
    estimated : tuple of str
        Parameters of the loss that the fit estimated.
    designs : tuple of (int, Basis)
        Of the modes that have one.
    carried : tuple of str
        What the cells of the data carried: some of "exposure", "offset" and "trials".
    exposure_name : str
        What the exposure was called, if it had a name: expected data are for one unit of it.
    coupled_with : tuple of str
        The names of other tensors that the fit was of, too.
    """

    penalties: Penalties = field(default_factory=Penalties)
    fixed_modes: tuple[int, ...] = ()
    tied_modes: tuple[tuple[int, ...], ...] = ()
    effect_modes: tuple[int, ...] = ()
    bounds: Any = None
    estimated: tuple[str, ...] = ()
    designs: Designs = ()
    carried: tuple[str, ...] = ()
    exposure_name: str = ""
    coupled_with: tuple[str, ...] = ()

    def rearranged(
        self, modes: Sequence[int], positions: Sequence[Array | None] | None = None
    ) -> ProblemDescription:
        """Return the description for a tensor whose k-th mode was the modes[k]-th, and its positions those (k,)."""
        at = {mode: k for k, mode in enumerate(modes)}
        bounds = self.bounds
        if isinstance(bounds, list) and len(bounds) == len(modes) != 2:
            bounds = [bounds[mode] for mode in modes]
        taken = positions or [None] * len(modes)
        of_components = tuple(p.rearranged(modes).taken(taken) for p in self.penalties.of_components)
        return replace(
            self,
            penalties=replace(self.penalties, of_components=of_components),
            fixed_modes=tuple(sorted(at[n] for n in self.fixed_modes)),
            tied_modes=tuple(tuple(sorted(at[n] for n in group)) for group in self.tied_modes),
            effect_modes=tuple(sorted(at[n] for n in self.effect_modes)),
            bounds=bounds,
            designs=tuple(sorted(((at[n], basis) for n, basis in self.designs), key=lambda one: one[0])),
        )

    @property
    def carried_in_words(self) -> str:
        """What the cells carried, and what is expected with it; empty if they carried nothing."""
        name = f" ({self.exposure_name})" if self.exposure_name else ""
        words = {
            "exposure": f"an exposure{name}, for one unit of which the model is",
            "offset": "an offset",
            "trials": "numbers of trials, for one of which the model is",
        }
        return "; ".join(words[name] for name in self.carried)

    @property
    def penalties_in_words(self) -> str:
        """The penalties, with the strengths that they were given; empty if there are none."""
        given = as_arguments(self.penalties, has_effects=False)
        others = given.pop("penalties", ())
        if self.effect_modes:
            given["l2_reg of main effects"] = self.penalties.effects_ridge
        words = [f"{name} {value:.3g}" for name, value in given.items() if value]
        return ", ".join([*words, *map(repr, others)])

    @property
    def has_array_bounds(self) -> bool:
        """Whether bounds were arrays, of which no more is known than that."""
        return any(isinstance(side, str) for side in _flat(self.bounds))

    # --- in files ----------------------------------------------------------------------------------------------

    def as_json(self, arrays: dict[str, Array]) -> dict[str, Any]:
        """Return JSON values; arrays of penalties, of any shape, go to `arrays`, by names that the values mention."""
        penalties = []
        for k, penalty in enumerate(self.penalties.of_components):
            own: dict[str, Any] = {}
            for f in fields(penalty):  # type: ignore[arg-type]
                value = getattr(penalty, f.name)
                if isinstance(value, np.ndarray):
                    arrays[f"penalty_{k}_{f.name}"] = value
                    value = {"array": f"penalty_{k}_{f.name}"}
                own[f.name] = value
            penalties.append({"class": penalty.name, "fields": own})
        return {
            "penalties": penalties,
            "effects_ridge": self.penalties.effects_ridge,
            "fixed_modes": list(self.fixed_modes),
            "tied_modes": [list(group) for group in self.tied_modes],
            "effect_modes": list(self.effect_modes),
            "bounds": self.bounds,
            "estimated": list(self.estimated),
            "designs": [[n, basis.as_json(arrays, f"design_{n}")] for n, basis in self.designs],
            "carried": list(self.carried),
            "exposure_name": self.exposure_name,
            **({"coupled_with": list(self.coupled_with)} if self.coupled_with else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> ProblemDescription:
        """Return the description that `as_json` wrote, with the same `arrays` of any shape.

        Raises
        ------
        ParameterError
            A penalty whose class has not been defined in this process.
        """
        penalties = tuple(_penalty(one["class"], one["fields"], arrays) for one in values["penalties"])
        return cls(
            Penalties(penalties, float(values["effects_ridge"])),
            tuple(int(n) for n in values["fixed_modes"]),
            tuple(tuple(int(n) for n in group) for group in values["tied_modes"]),
            tuple(int(n) for n in values["effect_modes"]),
            values["bounds"],
            tuple(str(name) for name in values["estimated"]),
            tuple((int(n), basis_from_json(one, arrays)) for n, one in values.get("designs", ())),
            tuple(str(name) for name in values.get("carried", ())),
            str(values.get("exposure_name", "")),
            tuple(str(name) for name in values.get("coupled_with", ())),
        )


def _penalty(name: str, values: Mapping[str, Any], arrays: Mapping[str, Array]) -> Penalty:
    """Return one penalty from its JSON values, with its arrays, of any shape, by the names that these mention."""
    if name not in Penalty.by_name:
        raise ParameterError(
            f"the fit had a penalty of the class {name!r}, which is not defined here: import its module first."
        )
    own = {
        key: arrays[value["array"]] if isinstance(value, dict) and value.keys() == {"array"} else value
        for key, value in values.items()
    }
    kind = Penalty.by_name[name]
    if "mode" not in own and any(f.name == "mode" for f in fields(kind)):  # type: ignore[arg-type]
        own["mode"] = None  # of all modes, as in files from before penalties had one
    return kind(**own)


def _flat(bounds: Any) -> list[Any]:
    sides = list(bounds.values()) if isinstance(bounds, dict) else bounds
    return [item for side in sides for item in _flat(side)] if isinstance(sides, list) else [sides]
