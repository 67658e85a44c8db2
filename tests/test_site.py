"""The site is whole: public names are in its reference, pages are reached, scripts are pages with pictures.

The build itself (`sphinx-build -W`) runs the scripts and checks references; it is a test with -m slow, which opens
all pages in Chromium, if there is one.
"""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import site_browser

import gcp
from gcp import analysis, datasets, designs, penalties, plots, testing

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCRIPTS = sorted((DOCS / "examples").glob("*/*.py"))
API = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
MADE = ("auto/", "generated/")  # by the build


def listed() -> set[str]:
    """Return the full names in the reference."""
    found, module = set(), ""
    for line in API.splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = match[1]
        elif match := re.fullmatch(r"   (\w+)", line):
            found.add(f"{module}.{match[1]}")
    return found


@pytest.mark.parametrize(
    "module", [gcp, analysis, datasets, designs, penalties, plots, testing], ids=lambda m: m.__name__
)
def test_every_public_name_is_in_the_reference(module):
    modules = {"analysis", "datasets", "designs", "penalties", "plots", "testing"}
    name = module.__name__
    public = getattr(module, "__all__", None) or [
        n for n in vars(module) if n.startswith(("load_", "available_"))
    ]
    missing = {f"{name}.{n}" for n in public if n not in modules} - listed()
    assert not {n for n in missing if f"gcp.{n.split('.')[-1]}" not in listed()}, missing


def test_every_name_in_the_reference_is_there():
    for name in listed():
        module, _, own = name.rpartition(".")
        owner = gcp if module == "gcp" else getattr(gcp, module.removeprefix("gcp."))
        assert hasattr(owner, own), name


def test_every_loss_has_advice():
    advice = tomllib.loads((DOCS / "_site" / "losses.toml").read_text(encoding="utf-8"))
    assert sorted(advice) == gcp.available_losses()
    assert all(entry.keys() >= {"when", "fails"} for entry in advice.values())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_begins_with_a_title_and_compiles(script):
    text = script.read_text(encoding="utf-8")
    assert re.match(r'"""\n.+\n=+\n\n\S', text), "a title, underlined, and a paragraph"
    compile(text, script.name, "exec")


def test_every_plot_is_in_the_gallery():
    gallery = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS if path.parent.name == "gallery")
    assert not [name for name in plots.__all__ if f"gcp.plots.{name}(" not in gallery]


def targets(path: Path) -> set[Path]:
    """Return the pages that a page lists in its table of contents or links to, as paths without ending."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)#\s]+?\.(?:md|rst))(?:#[^)]*)?\)", text)
    for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
        found += [line for line in block.splitlines() if line and not line.startswith(":")]
    if path.suffix == ".rst":
        found += [line.strip() for line in text.splitlines() if line.startswith("   ..")]
    base = path.parent if path.suffix == ".md" else DOCS / "auto" / path.parent.name
    return {Path(*(base / name).parts) for name in found if "://" not in name}


def test_every_page_of_a_table_of_contents_exists():
    folders = ("", "reference/", "start/", "explanation/")
    pages = [path for folder in folders for path in DOCS.glob(f"{folder}*.md")]
    for path in [*pages, *DOCS.glob("examples/*/GALLERY_HEADER.rst")]:
        for target in targets(path):
            inside = target.resolve().relative_to(DOCS).as_posix()
            if "*" in inside:
                assert list(DOCS.glob(f"{inside}.md")), inside
            elif inside.startswith("auto/") and not inside.endswith("/index.rst"):
                script = (DOCS / inside.replace("auto/", "examples/")).with_suffix(".py")
                assert script.exists() or script.stem == "index", f"{path.name}: {inside}"
            elif not inside.startswith(MADE):
                assert (DOCS / inside).with_suffix(".md").exists(), f"{path.name}: {inside}"


def test_links_between_scripts_are_to_pages():
    for script in SCRIPTS:
        for name in re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", script.read_text(encoding="utf-8")):
            at = (
                DOCS / name.lstrip("/") if name.startswith("/") else DOCS / "auto" / script.parent.name / name
            )
            inside = at.relative_to(DOCS).as_posix()
            if inside.startswith("auto/"):
                assert (DOCS / inside.replace("auto/", "examples/")).with_suffix(".py").exists(), name
            elif not inside.startswith("generated/"):
                assert at.with_suffix(".md").exists(), name


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("sphinx_gallery"), reason="needs the docs extra")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        str(DOCS),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index", "auto/start/1_five_minutes", "generated/losses/poisson", "generated/command_line"):
        text = (tmp_path / f"{page}.html").read_text(encoding="utf-8")
        images = re.findall(r"<img [^>]*>", text)
        assert all(re.search(r'alt="[^"]+"', image) for image in images), page
    for width in (1280, 420) if site_browser.BROWSER else ():
        pages = sorted(page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.html"))
        found = site_browser.opened(tmp_path, pages, width, tmp_path / "profile")
        assert not found["faults"], found["faults"][:5]
        assert not found["errors"], found["errors"][:5]
        assert found["hits"] > 5, "a search for exposure"
