"""The reference that `make reference` builds: what is public says what it is, and every link in it leads somewhere."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pdoc
import pytest

ROOT = Path(__file__).parents[1]
MODULES = (ROOT / "docs" / "reference.txt").read_text("utf-8").split()
_LINK = re.compile(r'<a[^>]* href="([^"]+)"')
_ANCHOR = re.compile(r' id="([^"]+)"')


def undocumented(source: str) -> list[str]:
    """Public classes and functions of a module that do not say what they are, and "" for the module itself."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else [""]
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    public = (node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_"))
    return [*found, *(node.name for node in public if not ast.get_docstring(node))]


def broken_links(folder: Path) -> list[str]:
    """Links of built pages to a page or an anchor that is not there."""
    pages = {page.resolve(): page.read_text("utf-8") for page in folder.rglob("*.html")}
    anchors = {page: set(_ANCHOR.findall(text)) for page, text in pages.items()}
    found = []
    for page, text in pages.items():
        for link in _LINK.findall(text):
            place, _, anchor = link.partition("#")
            target = (page.parent / place).resolve() if place else page
            if "://" not in link and (target not in pages or (anchor and anchor not in anchors[target])):
                found.append(f"{page.name}: {link}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_says_what_it_is(module: str) -> None:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert undocumented(Path(spec.origin).read_text("utf-8")) == []


def test_what_says_nothing_is_found() -> None:
    assert undocumented("def shown(): ...\ndef _hidden(): ...\nclass Told:\n    'Is told.'") == ["", "shown"]


def test_the_reference_is_built_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    pdoc.render.configure(show_source=False, search=False)
    pdoc.pdoc(*MODULES, output_directory=tmp_path)
    built = {page.relative_to(tmp_path).with_suffix("").as_posix() for page in tmp_path.rglob("*.html")}
    assert built == {"index", *(module.replace(".", "/") for module in MODULES)}
    assert broken_links(tmp_path) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#x">b</a> <a href="#here">a</a> <p id="here">')
    (tmp_path / "b.html").write_text('<a class="c" href="gone.html">a</a>')
    assert sorted(broken_links(tmp_path)) == ["a.html: b.html#x", "b.html: gone.html"]
