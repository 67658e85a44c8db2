"""The exceptions and warnings that `gcp` raises.

Every error that a caller's input can cause is a `GcpError`; each also derives from the built-in
exception that fits (`ValueError`, `RuntimeError`), so that code written for those keeps working.
"""

from __future__ import annotations

from typing import Any


class GcpError(Exception):
    """Base of all errors raised on purpose by `gcp`."""


class DataError(GcpError, ValueError):
    """The data (shape, type, mask, weights, labels, file content) cannot be used as given."""


class DomainError(DataError):
    """A data value lies outside the domain of the loss.

    Attributes
    ----------
    found : tuple or None
        The loss, the value, its subscript, and how many more there are, where these are known.
    """

    found: Any = None


class ParameterError(GcpError, ValueError):
    """An argument other than the data is unknown, out of range or of the wrong shape."""


class FitError(GcpError, RuntimeError):
    """A fit could not be started or continued.

    Attributes
    ----------
    result : FitResult or None
        The best model so far, where it could not be continued.
    """

    result: Any = None


class FormatError(DataError):
    """A file is not what its name or header says, is truncated, or is of a newer version."""


class ConvergenceWarning(UserWarning):
    """A fit stopped before it met its tolerance."""


class CheckpointWarning(UserWarning):
    """A checkpoint cannot be written; the fit goes on without."""


class DefaultLossWarning(UserWarning):
    """The loss was left at its default, Gaussian, beside data that are only 0 and 1, or counts."""


class UndeterminedWarning(UserWarning):
    """Data do not determine what was asked for; NaN stands in its place."""
