"""`gcp fit`: from a file to a fitted, saved and drawn model."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gcp
from gcp.base.errors import ConvergenceWarning, DataError, DomainError, FitError, ParameterError
from gcp.base.signals import terminated_like_interrupted
from gcp.base.types import Array
from gcp.cli import coupled_fit
from gcp.cli.cluster import spread
from gcp.cli.design_option import given_designs
from gcp.cli.fit_options import add_options
from gcp.cli.held_out import fit_for, held_out_rows, split_of
from gcp.cli.messages import message_in_options
from gcp.cli.output import (
    check_picture,
    check_target,
    number,
    parameters_in_words,
    print_json,
    print_pairs,
    save_picture,
)
from gcp.cli.parsing import Parser, command
from gcp.cli.penalty_options import penalties_of
from gcp.cli.plot_command import load_model
from gcp.cli.reading import LISTINGS, mode_number, read_input_or_parts
from gcp.cli.several_option import loss_of, parameters_of

if TYPE_CHECKING:
    from gcp.analysis import PredictionScores
    from gcp.analysis.split import Split
    from gcp.penalties import Penalty
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor
    from gcp.tensors.parts.sources import Source


@command(
    "fit",
    "fit a model to a tensor",
    "Fit a generalized CP model: RANK components, each the product of one factor per mode, that minimise the "
    "sum of a loss over the observed cells. Ctrl-C stops the fit and keeps the best model so far.",
    "  gcp fit nyc_flights --loss poisson --rank 5 --seed 0 --out flights.npz --plot flights.png\n"
    "  gcp fit trips.csv --modes station,date,hour --value count --unlisted zero \\\n"
    "      --loss negative-binomial --param r=3 --rank 4 --starts 5 --out trips.npz\n"
    "  gcp fit --tensor spikes=spikes.npz --tensor traits=traits.csv --loss spikes=poisson,traits=gaussian --rank 3",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit, save, draw and report."""
    if args.tensors:
        return coupled_fit.run(args)
    if args.input is None:
        raise ParameterError("expected INPUT, or two or more of --tensor NAME=FILE.")
    if args.weights is not None:
        raise ParameterError("--weights are of several tensors, --tensor; cells have --entry-weights.")
    loss = loss_of(args.loss, dict(args.param))
    _check_outputs(args)
    tensor, cells, split = _data(args)
    with terminated_like_interrupted() as ending, spread(args, tensor, cells) as data:
        try:
            result = _fit(args, data, cells, loss, split)
        except FitError as error:
            if error.result is None or not args.out:
                raise
            error.result.save(args.out)
            raise FitError(f"{error} The best model so far is in {args.out}.") from error
    is_interrupted = result.status == "interrupted"
    if is_interrupted and args.checkpoint:
        print(f"gcp: {message_in_options(result.message, args)}", file=sys.stderr)
    written: dict[str, str] = {}
    try:
        if args.out:
            result.save(args.out)
            written["out"] = args.out
        if args.plot:
            save_picture(result, args.plot)
            written["plot"] = args.plot
    finally:  # whatever cannot be written, the numbers are shown
        _report(args, result, written, None if split is None else split.judge(result))
    return ending.status if is_interrupted else 0


def _data(
    args: argparse.Namespace,
) -> tuple[Tensor | PartitionedTensor, dict[str, Any], Split | None]:
    """Return what is fitted, the mask and the weights beside it, and what cells are held out."""
    tensor = read_input_or_parts(args)
    if tensor.parts is not None:
        for name in ("exclude_zeros", "test_fraction", "hold_out"):
            if getattr(args, name):
                raise ParameterError(
                    f"--{name.replace('_', '-')} needs the data in one piece, but with this --memory they are read "
                    "in slabs: give more memory, or do without."
                )
        return tensor, _slab_cells(args), None
    tensor, cells = _cells(args, _without_zeros(tensor) if args.exclude_zeros else tensor)
    split = split_of(args, tensor, cells)
    return (tensor, cells, None) if split is None else (split.train, {}, split)


def _slab_cells(args: argparse.Namespace) -> dict[str, Source]:
    """Return mask and weights that are read in slabs, as the data are."""
    from gcp.io import array_source
    from gcp.tensors.parts.sources import Converted

    found: dict[str, Source] = {}
    if args.mask:
        found["mask"] = Converted.of(array_source(args.mask), _is_observed, bool)
    if args.entry_weights:
        source = array_source(args.entry_weights)
        found["entry_weights"] = Converted.of(source, _without_nan, source.dtype)
    return found


def _is_observed(values: Array) -> Array:
    """Return, elementwise, whether values are neither 0 nor NaN."""
    return (values != 0) & (values == values)  # neither 0 nor NaN


def _without_nan(values: Array) -> Array:
    """Return values with 0 for NaN, elementwise."""
    return np.where(values == values, values, np.zeros((), values.dtype))


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise where nothing could be written: no hour's fit should be lost."""
    if args.out:
        others = (args.input, args.mask, args.entry_weights, args.checkpoint)
        check_target("--out", args.out, (".npz",), others)
    if args.plot:
        check_picture("--plot", args.plot)


def _fit(
    args: argparse.Namespace,
    tensor: Tensor | PartitionedTensor,
    cells: dict[str, Any],
    loss: gcp.Loss,
    split: Split | None,
) -> gcp.FitResult:
    bounds = None if args.lower is None and args.upper is None else (args.lower, args.upper)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
        warnings.showwarning = lambda text, *_, **__: print(
            "gcp: warning:", message_in_options(str(text), args), file=sys.stderr
        )
        try:
            return fit_for(split)(
                tensor,
                args.rank,
                loss=loss,
                **cells,
                init=_init(args.init),
                n_starts=args.starts,
                solver=args.solver,
                bounds=bounds,
                l2_reg={
                    "factors": args.l2_reg,
                    "main_effects": args.l2_reg if args.l2_effects is None else args.l2_effects,
                },
                weight_reg=args.weight_reg,
                dirichlet_reg=args.dirichlet_reg,
                penalties=_penalties(args, tensor),
                main_effects=effect_modes(args, tensor),
                design=given_designs(args, tensor),
                n_iter_max=args.max_iter,
                tol=args.tol,
                max_seconds=args.max_seconds,
                random_state=args.seed,
                n_threads=args.threads,
                checkpoint=args.checkpoint,
                checkpoint_every=args.checkpoint_every,
                verbose=not args.quiet,
            )
        except DomainError as error:
            is_zero = not (args.exclude_zeros or loss.data_domain.contains(0.0))
            is_cured = is_zero and not (tensor.parts is not None or (tensor.values < 0).any())
            hint = " On the command line, --exclude-zeros leaves zeros out." if is_cured else ""
            raise DomainError(f"{error}{hint}") from error


def _without_zeros(tensor: Tensor) -> Tensor:
    """Return the tensor with the cells that are 0 unknown."""
    if tensor.zeros is not None:
        return tensor.nonzeros()
    keep = tensor.values != 0
    if tensor.subs is not None:
        return gcp.ObservedTensor.of(tensor.entries.select(keep), tensor.labels)
    own = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights
    return tensor.with_weights(np.where(keep, own, np.zeros((), own.dtype)))


def _companion(name: str, path: str, tensor: Tensor) -> Array | gcp.SparseTensor:
    """Return a number per cell of the data, shape (I_0, ...), from a file; 0 where the file has none."""
    from gcp.tensors.intake.coerce import in_one_piece
    from gcp.tensors.masks import beside, listed_companion

    is_listing = path.lower().endswith(LISTINGS)
    other = in_one_piece(gcp.read_tensor(path, unlisted="zero" if is_listing else None))
    try:
        if other.subs is None:
            found: Array = beside(name, other, tensor.labels, tensor.shape)
            return found
        listed = gcp.SparseTensor(other.subs, other.values, other.shape, labels=other.labels)
        return listed_companion(name, listed, tensor.labels, tensor.shape)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def effect_modes(args: argparse.Namespace, tensor: Tensor | PartitionedTensor) -> bool | list[int]:
    """Return all modes, or those that the option names or numbers."""
    if args.main_effects in (None, "all"):
        return args.main_effects is not None
    return [mode_number(part.strip(), tensor, "--main-effects") for part in args.main_effects.split(",")]


def _penalties(args: argparse.Namespace, tensor: Tensor | PartitionedTensor) -> list[Penalty]:
    """Return the penalties of one mode that options name."""
    found = penalties_of(args, tensor)
    if len(found) > 1:
        raise ParameterError(
            "--smooth, --ridge, --lasso, --graph and --near take one strength each; gcp rank chooses among several."
        )
    return found[0]


def _cells(args: argparse.Namespace, tensor: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Return the data, and the mask and weights that the command names.

    All cells are stored if one of these stores them.
    """
    found: dict[str, Any] = {}
    for name in ("mask", "entry_weights"):
        if (path := getattr(args, name)) is None:
            continue
        found[name] = given = _companion(name, path, tensor)
        if isinstance(given, np.ndarray) and tensor.subs is not None:
            try:
                tensor = tensor.to_dense()
            except DataError as error:
                raise DataError(
                    f"{path}: gives a number for every cell, not for listed ones. {error}"
                ) from error
    return tensor, found


def _init(given: str) -> Any:
    """Return a name, or the model of a saved result."""
    if given in ("random", "svd"):
        return given
    if not Path(given).exists():
        raise ParameterError(
            f"--init {given}: expected random, svd or a saved result, and there is no such file."
        )
    return load_model(given)


def _report(
    args: argparse.Namespace,
    result: gcp.FitResult,
    written: dict[str, str],
    held_out: PredictionScores | None,
) -> None:
    if args.json:
        numbers = _numbers(args, result, written)
        print_json(numbers | {"held_out": None if held_out is None else vars(held_out)})
    elif not args.quiet:
        print_pairs(_pairs(args, result, written) + held_out_rows(held_out))


def _numbers(args: argparse.Namespace, result: gcp.FitResult, written: dict[str, str]) -> dict[str, Any]:
    return {
        "input": args.input,
        "shape": list(result.shape),
        "modes": list(result.labels.names),
        "loss": {"name": result.loss.name, "parameters": parameters_of(result)},
        "rank": result.rank,
        "objective": result.objective,
        "null_objective": result.null_objective,
        "saturated_objective": result.saturated_objective,
        "deviance_explained": result.training_deviance_explained,
        "converged": result.converged,
        "status": result.status,
        "message": result.message,
        "n_iter": result.n_iter,
        "n_eval": result.n_eval,
        "projected_gradient_norm": result.projected_gradient_norm,
        "seconds": result.seconds,
        "weights": result.weights.tolist(),
        "intercept": result.intercept,
        "main_effects": list(result.main_effects),
        "starts": [{k: v for k, v in start.items() if k != "trace"} for start in result.starts],
        "settings": result.settings,
        "options": {name: value for name, value in vars(args).items() if name != "run"},
        "files": written,
    }


def _pairs(args: argparse.Namespace, result: gcp.FitResult, written: dict[str, str]) -> list[tuple[str, str]]:
    from gcp.objectives.model import share_in_words

    sizes = zip(result.shape, result.labels.names, strict=True)
    params = parameters_in_words(parameters_of(result))
    stopped = "converged" if result.converged else f"not converged ({result.status})"
    rows = [
        ("input", f"{args.input}: {' x '.join(f'{size} {name}' for size, name in sizes)}"),
        ("loss", f"{result.loss.name} ({params})" if params else result.loss.name),
        *([("data with", words)] if (words := result.problem.carried_in_words) else []),
        ("rank", str(result.rank)),
        ("objective", f"{result.objective:.8g}"),
        ("deviance explained", share_in_words(result.training_deviance_explained)),
        ("status", message_in_options(f"{stopped}: {result.message}", args)),
        ("iterations", f"{result.n_iter}, with {result.n_eval} evaluations"),
        ("seconds", f"{result.seconds:.2f}"),
        ("seed", str(result.settings["seed"])),
        ("component weights", "  ".join(number(float(w)) for w in result.weights)),
    ]
    if result.main_effects:
        spreads = ", ".join(f"{name} sd {number(float(v.std()))}" for name, v in result.main_effects.items())
        rows.append(("main effects", f"intercept {number(result.intercept)}; {spreads}"))
    if words := result.problem.penalties_in_words:
        rows.append(("penalties", words))
    if result.problem.designs:
        bases = ", ".join(f"{result.labels.names[n]}: {basis}" for n, basis in result.problem.designs)
        rows.append(("designs", bases))
    if len(result.starts) > 1:
        best = next(start["start"] for start in result.starts if start["objective"] == result.objective)
        objectives = "  ".join(f"{start['objective']:.8g}" for start in result.starts)
        rows.insert(8, ("starts", f"{len(result.starts)}, start {best + 1} is kept; objectives {objectives}"))
    titles = {"out": "result", "plot": "picture"}
    return rows + [(titles[option], path) for option, path in written.items()]
