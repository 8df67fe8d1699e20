"""Programs import the floor and never each other, and rules import values alone (.github/CONTRIBUTING.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.modules import PACKAGES, imports
from tests.house.rooms import ADAPTERS

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "schemas": {"schemas"},
    "runtime": {"schemas", "runtime"},
    "ingest": {"schemas", "runtime", "ingest"},
    "streams": {"schemas", "runtime", "streams"},
    "sinks": {"schemas", "runtime", "sinks"},
    "deploy": {"schemas", "runtime", "ingest", "streams", "sinks", "deploy"},
}
# Rules: files in which every import must be of values, so that they can be tested with values.
PURE = (
    "schemas/*.py",
    "runtime/metrics.py",
    "ingest/reading/parse.py",
    "ingest/reading/pixel.py",
    "ingest/logs/access_log.py",
    "ingest/logs/formats/*.py",
    "ingest/protocols/**/*.py",
    "ingest/openapi/asyncapi.py",
    "streams/pipeline.py",
    "streams/steps/*.py",
    "sinks/alerts/rules.py",
    "sinks/alerts/baseline.py",
    "sinks/warehouse/container.py",
    "deploy/kafka_acls.py",
)
NOT_PURE = {"os", "socket", "subprocess", "time", "random", "asyncio", "threading"} | ADAPTERS.keys()

IO_MODULES = {"pathlib", "logging", "structlog", "tempfile", "shutil", "prometheus_client"}
IO_CALLS = {"open", "print", "input", "read_text", "read_bytes", "write_text", "write_bytes"}


def files(package: str) -> Iterator[Path]:
    return (ROOT / package).rglob("*.py")


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


def doings(path: Path) -> set[str]:
    """The names by which a file would do input or output: modules it imports, functions and methods it calls."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    called = {one.id if isinstance(one, ast.Name) else getattr(one, "attr", "") for one in calls}
    return imports(path) & (NOT_PURE | IO_MODULES) | called & IO_CALLS


def test_schemas_does_no_input_or_output() -> None:
    for path in files("schemas"):
        # The schema files that travel with the package are part of it.
        allowed = {"read_text"} if path.name == "avro_codec.py" else set()
        found = doings(path) - allowed
        assert not found, f"{path.relative_to(ROOT)} uses {found}"


def test_input_and_output_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "impure.py"
    path.write_text("import structlog\nfrom pathlib import Path\nprint(Path('a').read_bytes())\n", "utf-8")
    assert doings(path) == {"structlog", "pathlib", "print", "read_bytes"}


def other_tests(path: Path) -> set[str]:
    """Modules of tests whose names a file takes, also in code that it writes for another process."""
    text = path.read_text("utf-8")
    found = set(re.findall(r"(?:from|import) (tests\.(?:\w+\.)*test_\w+)", text))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
            found |= {f"{node.module}.{one.name}" for one in node.names if one.name.startswith("test_")}
    return found


def test_tests_import_builders_and_never_each_other() -> None:
    assert {
        str(path.relative_to(ROOT)): found for path in files("tests") if (found := other_tests(path))
    } == {}


def test_an_import_of_another_test_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    package, module = "tests.sinks", "test_program"
    path.write_text(
        f"from {package} import {module}\ncode = 'from {package}.{module} import stage'\n", "utf-8"
    )
    assert other_tests(path) == {f"{package}.{module}"}


def test_every_module_says_what_it_is_for() -> None:
    for package in PACKAGES:
        for path in files(package):
            text = path.read_text("utf-8")
            if text.strip() and not path.name.startswith("test_"):
                assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no first sentence"
