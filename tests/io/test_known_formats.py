"""The registry: what is known is documented, and names what it needs."""

import sys

import numpy as np
import pytest

import gcp
from gcp.cli import main
from gcp.io.known_formats import endings, format_named, format_of, known


def test_every_ending_is_in_the_documents_and_in_the_help(capsys):
    assert main(["info", "--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())
    for ending, form in known().items():
        assert f"`{ending}`" in gcp.read_tensor.__doc__
        assert ending in shown
        assert form.write is None or f"`{ending}`" in gcp.write_tensor.__doc__ or ending == ".arrow"
        assert not form.needs or form.extra
        for option in form.options:
            assert f"\n    {option} : " in gcp.read_tensor.__doc__
    assert endings().startswith(".csv, .tsv, ")


def test_names_of_formats():
    assert format_of("a.CSV.GZ")[1]
    assert format_of("a.npy.gz") is None
    assert format_of("csv") is None
    assert format_named("tns.gz") == (known()[".tns"], True)


@pytest.mark.parametrize("ending", [ending for ending, form in known().items() if form.needs])
def test_what_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, ending):
    form = known()[ending]
    path = tmp_path / f"a{ending}"
    path.mkdir() if ending == ".zarr" else path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, form.needs[0], None)
    told = rf"need {form.needs[0]}: pip install \"gcp-tensor\[{form.extra}\]\""
    with pytest.raises(gcp.ParameterError, match=told):
        gcp.read_tensor(path)
    if form.write is not None:
        with pytest.raises(gcp.ParameterError, match=told):
            gcp.write_tensor(path, np.ones((2, 2)))
