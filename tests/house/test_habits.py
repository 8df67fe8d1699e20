"""What stands around the code: types that travel with the packages, the license, and files that other programs read."""

from __future__ import annotations

import importlib.util
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from tests.house.tables import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SCHEMAS = {".github/workflows/ci.yml": "github-workflows", ".github/dependabot.yml": "dependabot"}


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_every_package_carries_its_types() -> None:
    for package in PROJECT["tool"]["mypy"]["packages"]:
        assert (ROOT / package / "py.typed").is_file(), f"{package} has no py.typed"
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["*"]


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
