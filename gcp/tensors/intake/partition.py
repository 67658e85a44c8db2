"""A tensor in parts, in this process or on the workers of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor
from gcp.tensors.kinds import stored
from gcp.tensors.parts.local_engine import LocalEngine
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import is_mapped
from gcp.tensors.parts.splitting import cuts_of, longest_mode, split

if TYPE_CHECKING:
    from distributed import Client


def partition(
    data: Any,
    parts: int | None = None,
    *,
    mode: int | str | None = None,
    client: Client | None = None,
    **carried: Unpack[Carried],
) -> PartitionedTensor:
    """Cut a tensor into parts, which `fit_gcp` takes like any other tensor.

    Parameters
    ----------
    data : array_like or tensor
        As for `fit_gcp`; not in parts already.
    parts : int, optional
        How many. Default: the threads of the client's workers, or as many as can be; needed without a client.
    mode : int or str, optional
        The mode that is cut, by number or name. Default: the longest, whose factor and gradient then travel once, in
        pieces, while those of the others go to every worker.
    client : distributed.Client, optional
        Its workers, which need this version of gcp, get the parts, once, and evaluate them. Default: they stay here,
        and take turns.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`: the parts have their share of them.

    Returns
    -------
    PartitionedTensor

    Raises
    ------
    DataError, ParameterError
        Unusable data, a bad number or mode; more parts than positions with known entries; a client that is closed or
        asynchronous, or whose workers do not come within a minute.

    Notes
    -----
    Evaluations give the sums that the whole tensor gives, up to rounding, and the same bits in every run with as many
    parts. Solvers: "lbfgsb", "plbfgs" (dense data), "adam". With a client the data stay in this process as well: what
    a lost worker held is sent to another.
    """
    if is_mapped(data):
        data = np.asarray(data)  # of any size: parts are views of the mapping
    given = as_tensor(data, **carried)
    if isinstance(given, PartitionedTensor):
        raise ParameterError(f"The data are in parts already, as fit_gcp takes them: found {given!r}.")
    tensor = stored(given)
    if parts is None and client is None:
        raise ParameterError("partition needs the number of parts, or a client whose workers take them.")
    number = 0 if parts is None else checks.whole("parts", parts)
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    mode = longest_mode(tensor.shape) if mode is None else labels.number(mode)
    if client is None:
        cuts = cuts_of(tensor, number, mode)
        return PartitionedTensor(LocalEngine(split(tensor, cuts)), cuts, tensor.labels)
    try:
        from gcp.tensors.parts.dask.clients import check_client, n_threads
        from gcp.tensors.parts.dask.dask_engine import DaskEngine
    except ImportError as error:
        raise ParameterError("client needs Dask: pip install 'gcp-tensor[dask]'.") from error
    check_client(client)
    cuts = cuts_of(tensor, number or n_threads(client), mode, or_fewer=not number)
    return PartitionedTensor(DaskEngine.sent(client, split(tensor, cuts)), cuts, tensor.labels)
