"""What stands around the code: types that travel with the packages, the license, and files that other programs read."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from tests.house.modules import PACKAGES, imports
from tests.house.tables import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SCHEMAS = {".github/workflows/ci.yml": "github-workflows", ".github/dependabot.yml": "dependabot"}


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_every_package_carries_its_types() -> None:
    for package in PROJECT["tool"]["mypy"]["packages"]:
        assert (ROOT / package / "py.typed").is_file(), f"{package} has no py.typed"
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["*"]


def test_every_file_that_programs_read_travels_with_the_packages() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    files = [
        path
        for package in set(PACKAGES) - {"tests"}
        for path in (ROOT / package).rglob("*.*")
        if path.is_file()
    ]
    read = [path for path in files if path.suffix not in (".py", ".pyc", ".md")]
    assert len(read) > 20
    assert [path for path in read if not any(path.match(pattern) for pattern in patterns)] == []


def canonical(requirement: str) -> str:
    """The name of a distribution, without its extras, marker or version, as indexes compare it."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def distributions_imported(paths: Iterable[Path]) -> set[str]:
    """What has to be installed for all imports of these files, at any depth of their code."""
    names = {name for path in paths for name in imports(path)} - set(PACKAGES) - sys.stdlib_module_names
    owners = packages_distributions()
    # chdb-core, which chdb installs, owns the package of the same name too.
    return {canonical(owner) for name in names for owner in owners.get(name, [])} - {"chdb-core"}


def test_what_programs_import_is_declared_and_nothing_else_is() -> None:
    declared = {canonical(one) for one in PROJECT["project"]["dependencies"]}
    if sys.version_info >= (3, 14):
        declared.remove("backports-zstd")  # part of Python from there on
    paths = [path for package in set(PACKAGES) - {"tests"} for path in (ROOT / package).rglob("*.py")]
    assert distributions_imported(paths) == declared


def test_what_tests_import_is_declared() -> None:
    project = PROJECT["project"]
    declared = {
        canonical(one) for one in [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    }
    # Drivers of other systems' clients run with what they install themselves.
    paths = [path for path in (ROOT / "tests").rglob("*.py") if path.parent.name != "drivers"]
    assert distributions_imported(paths) - declared == set()


def test_the_license_is_the_one_the_project_names() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "Copyright 2026 The Fairpixel authors" in text


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_the_code_host_reads_keeps_to_its_schema(name: str) -> None:
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    vendored = Path(found.origin).parent / "builtin_schemas" / "vendor" / f"{SCHEMAS[name]}.json"
    schema = json.loads(vendored.read_text("utf-8"))
    document = read_yaml(name)
    if True in document:  # YAML 1.1 reads the key `on` as a truth value
        document["on"] = document.pop(True)
    assert [error.message for error in validator_for(schema)(schema).iter_errors(document)] == []


def test_continuous_integration_runs_the_script_with_no_more_rights_than_to_read() -> None:
    workflow = read_yaml(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["test"]["steps"][-1]["run"].endswith(".ci/run")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_hooks_before_a_commit_use_the_projects_own_programs() -> None:
    hooks = [hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "mypy", "house"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
