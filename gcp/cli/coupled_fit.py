"""`gcp fit --tensor NAME=FILE --tensor NAME=FILE`: several tensors that share factors."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gcp
from gcp.base.errors import FitError, ParameterError
from gcp.base.signals import terminated_like_interrupted
from gcp.cli.output import check_target, print_json
from gcp.cli.parsing import Parser
from gcp.cli.penalty_options import penalties_of
from gcp.cli.reading import READING_OPTIONS, read_input

_ALONE = (
    "mask",
    "entry_weights",
    "exposure",
    "offset",
    "trials",
    "exclude_zeros",
    "test_fraction",
    "hold_out",
    "weight_reg",
    "design",
    "graph",
    "near",
    "checkpoint",
    "memory",
    "scheduler",
    "workers",
    "plot",
)
"""Options of fits of one tensor."""

_INSTEAD = {
    "checkpoint": "Ctrl-C keeps the best model so far, which --out saves and --init continues.",
    "plot": "gcp plot draws the model of one of them, RESULT.npz:NAME.",
    "modes": "name those of each tensor behind its file, --tensor NAME=FILE:A,B,C.",
}


def add_options(parser: Parser) -> None:
    """Add the options for several tensors."""
    group = parser.add_argument_group("several tensors that share factors, in the place of INPUT")
    group.add_argument(
        "--tensor",
        dest="tensors",
        metavar="NAME=FILE[:A,B,C]",
        type=_named,
        action="append",
        default=[],
        help="one of the tensors, and the names of its modes if the file has none (of a table: its columns); may be "
        "repeated. Modes of the same name share a factor, positions by label. --loss is then NAME=LOSS,NAME=LOSS, "
        "and --param NAME.PARAMETER=VALUE. Reading options are for the files that take them",
    )
    group.add_argument(
        "--weights",
        metavar="NAME=X,NAME=X",
        help="what the losses of tensors are multiplied by (default: 1 / the scale of their dispersion, as found)",
    )


def run(args: argparse.Namespace) -> int:
    """Fit, save and report."""
    tensors, losses = _inputs(args)
    if args.out:
        check_target("--out", args.out, (".npz",), [path for _, path, _ in args.tensors])
    with terminated_like_interrupted() as ending:
        try:
            result = _fit(args, tensors, losses)
        except FitError as error:
            if error.result is None or not args.out:
                raise
            error.result.save(args.out)
            raise FitError(f"{error} The best model so far is in {args.out}.") from error
    try:
        if args.out:
            result.save(args.out)
    finally:  # whatever cannot be written, the numbers are shown
        if args.json:
            print_json(_numbers(args, result))
        elif not args.quiet:
            print(result.summary())
    return ending.status if result.status == "interrupted" else 0


def _inputs(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, gcp.Loss]]:
    """Return the tensors and the loss of each; refuse what does not go together with them."""
    if args.input is not None:
        raise ParameterError(f"INPUT is one tensor: give {args.input} as --tensor NAME=FILE, too, or alone.")
    given = [name for name in (*_ALONE, "modes") if getattr(args, name) not in (None, False, [], 0)]
    if given:
        reason = _INSTEAD.get(given[0], "it is for one tensor; in Python, fit_gcp takes more beside several.")
        raise ParameterError(f"--{given[0].replace('_', '-')} does not go together with --tensor: {reason}")
    names = [name for name, _, _ in args.tensors]
    if twice := [name for k, name in enumerate(names) if name in names[:k]]:
        raise ParameterError(f"--tensor {twice[0]} is there twice: give each a name of its own.")
    return {name: _read(args, *where) for name, *where in args.tensors}, _losses(args, names)


def _read(args: argparse.Namespace, path: str, modes: list[str] | None) -> Any:
    """Return a tensor, read with those of the reading options that its format takes."""
    from gcp.io.known_formats import format_of
    from gcp.tensors.intake.coerce import as_tensor

    form = format_of(path if args.format is None else f".{args.format.removeprefix('.')}")
    is_file, takes = Path(path).exists(), frozenset() if form is None else form[0].options
    left_out = [name for name in READING_OPTIONS if name not in takes and not (name == "format" and is_file)]
    own = vars(args) | dict.fromkeys(left_out) | {"input": path}
    if "modes" in takes:
        return read_input(argparse.Namespace(**own | {"modes": modes}))
    tensor = read_input(argparse.Namespace(**own))
    return tensor if modes is None else as_tensor(tensor, modes=modes)


def _losses(args: argparse.Namespace, names: list[str]) -> dict[str, gcp.Loss]:
    """Return the loss of each tensor."""
    example = ",".join(f"{name}={loss}" for name, loss in zip(names, ("poisson", "gaussian"), strict=False))
    found = _pairs("--loss", args.loss, names, example)
    params: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in args.param:
        name, _, parameter = key.rpartition(".")
        if name not in params:
            raise ParameterError(f"--param {key}: expected NAME.PARAMETER=VALUE, such as {names[0]}.r=3.0.")
        params[name][parameter] = value
    return {name: gcp.get_loss(loss, **params[name]) for name, loss in found.items()}


def _pairs(option: str, text: str, names: list[str], example: str) -> dict[str, str]:
    """Return what an option gives by tensor, in the order of its text."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not (equals and value) or name not in names or name in found:
            raise ParameterError(f"{option}: expected each tensor once, such as {example}; found {text!r}.")
        found[name] = value
    return found


def _weights(args: argparse.Namespace, names: list[str]) -> dict[str, float] | None:
    if args.weights is None:
        return None
    example = f"{names[0]}=1.0"
    try:
        return {name: float(x) for name, x in _pairs("--weights", args.weights, names, example).items()}
    except ValueError:
        raise ParameterError(
            f"--weights: expected numbers, such as {example}; found {args.weights!r}."
        ) from None


def _fit(args: argparse.Namespace, tensors: dict[str, Any], losses: dict[str, gcp.Loss]) -> gcp.CoupledResult:
    from gcp.tensors.coupled_tensors import CoupledTensors

    whole: Any = CoupledTensors.of(tensors)  # has modes by name, which is all that is asked
    found = penalties_of(args, whole)
    if len(found) > 1:
        raise ParameterError("--smooth, --ridge and --lasso take one strength each.")
    bounds = None if args.lower is None and args.upper is None else (args.lower, args.upper)
    if args.main_effects not in (None, "all"):
        raise ParameterError(
            "--main-effects beside --tensor takes no modes: in Python it is a dict by tensor."
        )
    result: Any = gcp.fit_gcp(
        tensors,
        args.rank,
        loss=losses,
        weights=_weights(args, list(tensors)),
        init=args.init if args.init in ("random", "svd") else gcp.load(args.init),
        n_starts=args.starts,
        solver=args.solver,
        bounds=bounds,
        l2_reg=args.l2_reg,
        dirichlet_reg=args.dirichlet_reg,
        penalties=found[0],
        main_effects=args.main_effects is not None,
        n_iter_max=args.max_iter,
        tol=args.tol,
        max_seconds=args.max_seconds,
        random_state=args.seed,
        n_threads=args.threads,
        verbose=not args.quiet,
    )
    fitted: gcp.CoupledResult = result
    return fitted


def _numbers(args: argparse.Namespace, result: gcp.CoupledResult) -> dict[str, Any]:
    """Return what --json prints."""
    every = ("objective", "null_objective", "saturated_objective", "converged", "status", "message")
    paths = {name: path for name, path, _ in args.tensors}
    tensors = {
        name: {
            "input": paths[name],
            "shape": list(own.shape),
            "modes": list(own.labels.names),
            "loss": own.loss.name,
            "weight": result.weights[name],
            "objective": own.objective,
            "deviance_explained": own.training_deviance_explained,
            "weights": own.weights.tolist(),
        }
        for name, own in result.items()
    }
    more = {name: getattr(result, name) for name in (*every, "n_iter", "n_eval", "seconds", "settings")}
    files: Mapping[str, str] = {"out": args.out} if args.out else {}
    return {"rank": result.rank, "tensors": tensors, **more, "files": files}


def _named(text: str) -> tuple[str, str, list[str] | None]:
    """Return the name of a tensor, its file, and the names of its modes."""
    name, equals, path = (part.strip() for part in text.partition("="))
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, such as spikes=spikes.npz, found {text!r}")
    head, colon, modes = path.rpartition(":")
    if not colon or Path(path).exists():
        return name, path, None
    return name, head, [mode.strip() for mode in modes.split(",")]
