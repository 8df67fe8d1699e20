"""Clients of the outside world are imported by the adapters that tests/house/rooms.py lists, and by nobody else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.modules import modules_of
from tests.house.rooms import ADAPTERS

PROGRAMS = ("schemas", "runtime", "ingest", "streams", "sinks", "deploy")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names it gives here), at any depth of the code and by whatever kind of import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, (alias.asname or alias.name.split(".")[0],)) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, tuple(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value), ()


def clients_of(tree: ast.AST) -> set[str]:
    """The clients this code imports, whole or a part of them."""
    return {module.split(".")[0] for module, _ in imported_modules(tree)} & ADAPTERS.keys()


def names_of_clients(tree: ast.AST) -> dict[str, str]:
    """Name -> the client it was taken from."""
    return {
        name: client
        for module, names in imported_modules(tree)
        if (client := module.split(".")[0]) in ADAPTERS
        for name in names
    }


def users_of_clients(trees: dict[str, ast.Module]) -> set[tuple[str, str]]:
    """(module, client) for each import of a client, also of a name that another of our modules took from it."""
    given = {module: names_of_clients(tree) for module, tree in trees.items()}
    found = {(module, client) for module, tree in trees.items() for client in clients_of(tree)}
    for module, tree in trees.items():
        for other, names in imported_modules(tree):
            found |= {(module, given[other][name]) for name in names if name in given.get(other, {})}
    return found


def test_clients_are_imported_by_their_adapters_and_by_each_of_them() -> None:
    trees = {module: parse(path) for program in PROGRAMS for module, path in modules_of(program).items()}
    listed = {(module, client) for client, modules in ADAPTERS.items() for module in modules}
    found = users_of_clients(trees)
    strangers, idle = sorted(found - listed), sorted(listed - found)
    assert not strangers, "only adapters import clients: use a seam, or list a new adapter in rooms.py"
    assert not idle, "listed as adapters, and import the client no more"


@pytest.mark.parametrize(
    "code",
    [
        "import confluent_kafka",
        "import confluent_kafka.admin as admin",
        "from confluent_kafka.admin import AdminClient",
        "def late():\n    from confluent_kafka import Consumer",
        "if TYPE_CHECKING:\n    from confluent_kafka import Consumer",
        "client = importlib.import_module('confluent_kafka.admin')",
        "client = import_module('confluent_kafka')",
        "client = __import__('confluent_kafka')",
        "from streams.seam import KafkaException",
        "from streams.seam import Refused",
    ],
)
def test_an_import_is_found_however_it_is_written(code: str) -> None:
    seam = "from confluent_kafka import KafkaException, KafkaError as Refused"
    found = users_of_clients({"streams.seam": ast.parse(seam), "streams.rules": ast.parse(code)})
    assert found == {("streams.seam", "confluent_kafka"), ("streams.rules", "confluent_kafka")}


def test_names_alone_are_no_imports() -> None:
    code = "from runtime.kafka import KafkaUnavailable\nimport rocksdict_like, schemas.urllib3\nurllib3 = 1"
    assert users_of_clients({"streams.rules": ast.parse(code)}) == set()
