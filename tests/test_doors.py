"""Arguments that nobody should give: every public function says in an error of gcp's own what is wrong with them."""

from contextlib import suppress
from pathlib import Path

import good_calls
import hostile
import pytest
from helpers import bounded_memory

import gcp

NAMES = sorted(good_calls.public_names())
FIT = {
    "GCP",
    "GCP.fit",
    "GCP.fit_transform",
    "GCP.score",
    "analysis.bootstrap",
    "analysis.split_half",
    "analysis.start_stability",
    "analysis.suggest_loss",
    "fit_gcp",
    "select_rank",
    "suggest_loss",
    "write_report",
}
"""What fits a model, or more, if it accepts the value."""

FEW = ("None", "-1", "nan", "text", "ragged list", "object array", "cube", "function")
STARTS_PROCESSES = {("n_jobs", "-1"), ("n_jobs", "numpy integer")}
SECONDS = 120.0  # compiling included


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # some texts are names of files
        patch.setattr(  # no argument changes how a picture of the page is rendered
            "matplotlib.figure.Figure.savefig", lambda self, file, **options: file.write(b"\x89PNG")
        )
        yield good_calls.good_calls(folder)


def some_calls(calls, name):
    """One good call, of a method of losses one for each loss."""
    if name.startswith("Loss."):
        made = [cls.examples()[0] for cls in good_calls.LOSSES if cls is not gcp.Loss]
        return [good_calls.loss_call(loss, name.partition(".")[2]) for loss in made]
    assert name in calls, f"{name} has no good call yet: add it to good_calls.py"
    return [calls[name]]


def faults(calls, name, values, seconds=SECONDS):
    found = []
    for call in some_calls(calls, name):
        for parameter in hostile.parameters(call):
            for what in values:
                if (parameter, what) not in STARTS_PROCESSES:
                    value = (hostile.VALUES | hostile.MORE_VALUES | hostile.HUGE_VALUES)[what]()
                    said = hostile.fault(call, parameter, value, seconds)
                    found += [f"{name}({parameter}={what}): {said}"] if said else []
    return found


def test_good_calls_are_of_public_names(calls):
    assert set(calls) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_arguments_are_refused_in_a_sentence(calls, name):
    found = faults(calls, name, FEW if name in FIT else hostile.VALUES)
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_more_hostile_arguments(calls, name):
    found = faults(calls, name, hostile.VALUES | hostile.MORE_VALUES)
    assert not found, "\n".join(found)


def test_more_groups_than_memory_are_groups_of_single_expectations(calls):
    found = gcp.analysis.calibration(good_calls.fitted(), good_calls.dense(), 2**62)
    assert found.weight.sum() == good_calls.COUNTS.size
    assert len(found.weight) <= good_calls.COUNTS.size


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits memory as Linux does")
@pytest.mark.parametrize("name", NAMES)
def test_huge_arguments_do_not_take_all_memory(calls, name):
    for call in some_calls(calls, name):
        with suppress(gcp.GcpError):
            call.function(**call.arguments)  # compiles
    with bounded_memory():
        found = faults(calls, name, hostile.HUGE_VALUES, seconds=1.0)
    found = [said for said in found if not said.endswith("takes more than 1 s")]  # as 10**12 starts do
    assert not found, "\n".join(found)
