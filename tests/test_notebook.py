"""A notebook, executed: pictures appear without a magic word, and so does a bar of progress."""

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

CELLS = {
    "nothing": "import gcp\ndata = gcp.datasets.load_titanic()\n"
    "import sys; assert 'matplotlib.pyplot' not in sys.modules",
    "progress": "result = gcp.fit_gcp(data, 2, loss='poisson', n_starts=2, random_state=0, verbose=True)",
    "grid": "gcp.plots.plot_components(result)",
    "panels": "gcp.plots.plot_observed(result, data, ['class', 'age']);",
    "one": "gcp.plots.plot_calibration(result, data)",
    "assigned": "ax = gcp.plots.plot_convergence(result)",
    "given": "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots(1, 2)\n"
    "_ = gcp.plots.plot_slices(result, data, 'class', ax=axes[0])\n"
    "_ = gcp.plots.plot_residuals(result, data, ax=axes[1])",
    "shown": "gcp.plots.plot_residuals(result, data)\nplt.show()",
    "closed": "plt.get_fignums()",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """By the name of a cell, the kinds of data that it has put out, and its texts."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS.values()])
    folder = str(tmp_path_factory.mktemp("notebook"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)  # of the tests; notebooks have their own
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    return dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))


def kinds(found):
    return [kind for output in found for kind in output.get("data", {})]


@pytest.mark.parametrize("name", ["grid", "panels", "one", "assigned", "given", "shown"])
def test_a_cell_shows_one_picture(outputs, name):
    assert kinds(outputs[name]).count("image/png") == 1


def test_no_picture_is_left_open(outputs):
    assert outputs["closed"][0]["data"]["text/plain"] == "[]"


def test_a_bar_shows_progress(outputs):
    pytest.importorskip("ipywidgets")
    assert "application/vnd.jupyter.widget-view+json" in kinds(outputs["progress"])
    assert "start 1/2" not in "".join(output.get("text", "") for output in outputs["progress"])
