"""The documentation says what the code does: tables, commands, links and promises about files."""

import re

import pytest

from schemas.drops import DEAD_REASON_MEANING, DROP_REASON_MEANING, DeadReason, DropReason
from tests.house.tables import (
    INGEST_README,
    KAFKA_ACLS,
    README,
    ROOT,
    build_kafka_tables,
    build_mapping_tables,
    build_tables,
    fill,
    settings_classes,
)


@pytest.mark.parametrize("name", sorted(build_tables()))
def test_each_table_of_the_readme_is_that_of_the_code(name: str) -> None:
    text = README.read_text("utf-8")
    assert fill(text, {name: build_tables()[name]}) == text, "run `.venv/bin/python -m tests.house.tables`"


@pytest.mark.parametrize("name", sorted(build_mapping_tables()))
def test_each_mapping_of_the_edges_readme_is_that_of_the_code(name: str) -> None:
    text = INGEST_README.read_text("utf-8")
    tables = {name: build_mapping_tables()[name]}
    assert fill(text, tables) == text, "run `.venv/bin/python -m tests.house.tables`"


def test_the_rules_for_kafka_are_those_of_the_code() -> None:
    text = KAFKA_ACLS.read_text("utf-8")
    assert fill(text, build_kafka_tables()) == text, "run `.venv/bin/python -m tests.house.tables`"


def test_every_reason_has_a_meaning() -> None:
    assert set(DROP_REASON_MEANING) == set(DropReason)
    assert set(DEAD_REASON_MEANING) == set(DeadReason)


def test_every_setting_read_anywhere_is_documented() -> None:
    documented = {one for settings in settings_classes() for one in _variables(settings)}
    read = set()
    for package in ("schemas", "ingest", "streams", "sinks", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            read |= set(re.findall(r"""["'](FAIRPIXEL_[A-Z_]+[A-Z])["']""", path.read_text("utf-8")))
    assert read - documented == set()


def test_links_in_documents_lead_somewhere() -> None:
    for document in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob(".github/*.md"),
        *ROOT.glob("docs/*.md"),
    ]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} links to {target}"


def test_the_readme_names_its_two_commands() -> None:
    text = README.read_text("utf-8")
    assert "make up" in text
    assert "make test" in text


def _variables(settings: type) -> set[str]:
    from schemas.settings import documented_fields

    return {one.metadata["variable"] for one in documented_fields(settings)}
