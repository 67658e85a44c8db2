"""Type aliases shared by the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""A NumPy array of any dtype."""

FloatArray = NDArray[Any]
"""A NumPy array of float32 or float64."""

Factors = Sequence[FloatArray]
"""Factor matrices, one per mode, each of shape (I_n, R)."""

State = dict[str, Any]
"""State of a run: numbers, texts, None and arrays, in lists and dicts with text as keys."""

RandomSource: TypeAlias = int | np.random.Generator | np.random.RandomState | np.random.SeedSequence
"""What may decide all that is random, as `random_state`."""
