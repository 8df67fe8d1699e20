"""Pages that are named exist, and so do the places in them that links lead to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.event import Flag
from tests.house.tables import ROOT

PACKAGES = ("schemas", "runtime", "ingest", "streams", "sinks", "deploy", "tests")
# A name of a page as people write it: no pattern with a star, no absolute path.
PAGE = re.compile(r"(?<![\w./*{}-])[\w.][\w./-]*\.md\b")
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def documents() -> list[Path]:
    """Every page of ours."""
    here = [
        path
        for where in ("*.md", ".github/**/*.md", "docs/**/*.md", "examples/**/*.md")
        for path in ROOT.glob(where)
    ]
    return here + [path for package in PACKAGES for path in (ROOT / package).rglob("*.md")]


def naming() -> list[Path]:
    """Every file whose words may name a page."""
    code = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [*code, ROOT / "Makefile", *documents()]


def missing_pages(text: str, folder: Path) -> Iterator[str]:
    """Pages a text names that are neither below the root, nor beside the file, nor in docs."""
    joined = text.replace('" / "', "/")  # a path as code joins it
    for name in PAGE.findall(joined):
        if not any((base / name).is_file() for base in (ROOT, folder, ROOT / "docs")):
            yield name


def anchors(page: Path) -> set[str]:
    """The places in a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_page_that_is_named_exists() -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in naming()
        for name in missing_pages(path.read_text("utf-8"), path.parent)
    }
    assert missing == set()


def test_a_page_that_is_not_there_is_noticed() -> None:
    gone = "gone" + ".md"
    assert list(missing_pages(f"see {gone}, docs/{gone} and README.md", ROOT)) == [gone, f"docs/{gone}"]


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings_that_are_there(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), f"{target} is not there"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target}#{anchor}: no such heading"


def test_every_page_of_docs_is_reached_from_the_index() -> None:
    reached: set[Path] = set()
    ahead = {ROOT / "docs" / "README.md"}
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = {(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text("utf-8"))}
        ahead |= {one for one in targets if one.suffix == ".md" and ROOT / "docs" in one.parents} - reached
    assert set((ROOT / "docs").rglob("*.md")) - reached == set()


def test_every_flag_is_explained() -> None:
    text = (ROOT / "docs" / "events.md").read_text("utf-8")
    assert [flag.name for flag in Flag if f"| {flag.value} | `{flag.name}` |" not in text] == []
