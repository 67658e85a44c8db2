"""The page from its template, which is a file of its own, for designers: templates/page.html.jinja and style.css."""

from __future__ import annotations

from collections.abc import Sequence

from gcp.analysis.report.page_blocks import FactList, Section
from gcp.base.errors import ParameterError


def check_installed() -> None:
    """Raise `ParameterError` unless there is what a page is made with."""
    try:
        import jinja2  # noqa: F401
        import matplotlib.figure  # noqa: F401
    except ImportError as missing:
        raise ParameterError(
            f'A report needs matplotlib and Jinja2 (here: {missing}): pip install "gcp-tensor[report]".'
        ) from None


def render(title: str, lead: str, warning: str, facts: FactList, sections: Sequence[Section]) -> str:
    """Return the whole page. All texts are taken for text, whatever stands in them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gcp.analysis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.jinja")
    return page.render(title=title, lead=lead, warning=warning, facts=facts, sections=sections)
