"""The documentation says what the code does: tables, commands, links and promises about files."""

import re
from pathlib import Path

import pytest

from deploy.cli import command_names
from deploy.doctor import CHECKS
from ingest.logs.formats import FORMATS, PIXEL_QUEUE
from runtime.metrics import ALL_METRICS, WHAT_TO_DO
from schemas.drops import DEAD_REASON_MEANING, DROP_REASON_MEANING, DeadReason, DropReason
from tests.house.tables import DOCS, ROOT, build_pages, compatible_protocols, fill, settings_classes

README = ROOT / "README.md"
ROOMS = ("schemas", "runtime", "ingest", "streams", "sinks", "deploy", "docs")
README_LINES_MAX = 200  # for somebody who has five minutes


@pytest.mark.parametrize(
    ("page", "name"),
    [(page, name) for page, tables in build_pages().items() for name in tables],
    ids=lambda one: str(one.relative_to(ROOT)) if isinstance(one, Path) else one,
)
def test_each_table_of_a_page_is_that_of_the_code(page: Path, name: str) -> None:
    text = page.read_text("utf-8")
    tables = {name: build_pages()[page][name]}
    assert fill(text, tables) == text, "run `.venv/bin/python -m tests.house.tables`"


def test_every_table_in_a_page_is_made_from_code() -> None:
    known = {(page, name) for page, tables in build_pages().items() for name in tables}
    marked = {
        (page, name)
        for page in [README, *DOCS.rglob("*.md")]
        for name in re.findall(r"<!-- table: (.+?) -->", page.read_text("utf-8"))
    }
    assert marked == known


def test_every_protocol_has_a_page_and_a_line_in_the_index() -> None:
    index = (DOCS / "protocols" / "README.md").read_text("utf-8")
    pages = {page.name for page in (DOCS / "protocols").glob("*.md")} - {"README.md"}
    assert {f"{name}.md" for name in compatible_protocols()} <= pages
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_the_readme_is_for_somebody_who_has_five_minutes() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= README_LINES_MAX


def test_every_metric_says_what_to_do() -> None:
    assert set(WHAT_TO_DO) == {metric.name for metric in ALL_METRICS}


def test_every_line_of_the_doctor_is_explained() -> None:
    text = (DOCS / "operations.md").read_text("utf-8")
    assert [name for name, _ in CHECKS if f"| `{name}` |" not in text] == []


def test_every_log_format_and_command_is_named() -> None:
    formats = (DOCS / "logs.md").read_text("utf-8")
    assert [name for name in (*FORMATS, PIXEL_QUEUE) if f"| `{name}` |" not in formats] == []
    assert [name for name in command_names() if f"`{name}" not in README.read_text("utf-8")] == []


def test_every_reason_has_a_meaning() -> None:
    assert set(DROP_REASON_MEANING) == set(DropReason)
    assert set(DEAD_REASON_MEANING) == set(DeadReason)


def test_every_setting_read_anywhere_is_documented() -> None:
    documented = {one for settings in settings_classes() for one in _variables(settings)}
    read = set()
    for package in ("schemas", "runtime", "ingest", "streams", "sinks", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            read |= set(re.findall(r"""["'](FAIRPIXEL_[A-Z_]+[A-Z])["']""", path.read_text("utf-8")))
    assert read - documented == set()


def test_links_in_documents_lead_somewhere() -> None:
    for document in [
        *ROOT.glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(path for room in ROOMS for path in (ROOT / room).rglob("*.md") if "node_modules" not in path.parts),
    ]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} links to {target}"


def test_the_readme_names_its_two_commands() -> None:
    text = README.read_text("utf-8")
    assert "make up" in text
    assert "make test" in text


def _variables(settings: type) -> set[str]:
    from runtime.settings import documented_fields

    return {one.metadata["variable"] for one in documented_fields(settings)}
