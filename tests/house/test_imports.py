"""Imports point the right way, and clients of the outside world stay in their seams (.github/CONTRIBUTING.md)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "ingest", "streams", "sinks", "deploy", "tests")
ALLOWED = {
    "schemas": {"schemas"},
    "ingest": {"schemas", "ingest"},
    "streams": {"schemas", "streams"},
    "sinks": {"schemas", "sinks"},
    "deploy": {"schemas", "ingest", "streams", "sinks", "deploy"},
}
CLIENTS = {
    "confluent_kafka",
    "clickhouse_connect",
    "chdb",
    "aiokafka",
    "faust",
    "rocksdict",
    "urllib3",
    "aiohttp",
    "httpx",
    "requests",
    "httptools",
}
# Rules: files in which every import must be of values, so that they can be tested with values.
PURE = (
    "schemas/*.py",
    "ingest/reading/parse.py",
    "ingest/reading/pixel.py",
    "ingest/logs/access_log.py",
    "ingest/logs/formats/*.py",
    "ingest/protocols/**/*.py",
    "streams/pipeline.py",
    "streams/steps/*.py",
    "sinks/alerts/rules.py",
    "sinks/alerts/baseline.py",
    "sinks/loader/container.py",
)
NOT_PURE = {"os", "socket", "subprocess", "time", "random", "asyncio", "threading"} | CLIENTS


def files(package: str) -> Iterator[Path]:
    return (ROOT / package).rglob("*.py")


def imports(path: Path) -> set[str]:
    """The top-level names a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_meet_only_in_schemas(package: str) -> None:
    for path in files(package):
        foreign = imports(path) & set(PACKAGES) - ALLOWED[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize("pattern", PURE)
def test_rules_import_no_clock_no_chance_and_no_network(pattern: str) -> None:
    paths = list(ROOT.glob(pattern))
    assert paths, f"no file matches {pattern}"
    for path in paths:
        impure = imports(path) & NOT_PURE
        assert not impure, f"{path.relative_to(ROOT)} imports {impure}"


def test_every_module_says_what_it_is_for() -> None:
    for package in PACKAGES:
        for path in files(package):
            text = path.read_text("utf-8")
            if text.strip() and not path.name.startswith("test_"):
                assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no first sentence"
