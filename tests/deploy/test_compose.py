"""docker-compose.yml: valid by the schema of the compose specification, and of the same programs as `make up`."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from deploy.embedded.kafka_config import Ports, server_properties
from deploy.supervisor.programs import platform_programs
from runtime.settings import PlatformSettings
from tests.processes import REPO

COMPOSE = REPO / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def mistakes(document: object) -> list[str]:
    """What the specification's own schema says; the wheel of check-jsonschema carries it."""
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    schema = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    validator = validator_for(json.loads(schema.read_text()))(json.loads(schema.read_text()))
    return [error.message for error in validator.iter_errors(document)]


def test_it_keeps_to_the_compose_specification(compose: dict[str, Any]) -> None:
    assert mistakes(compose) == []


def test_the_check_would_find_a_mistake(compose: dict[str, Any]) -> None:
    broken = {**compose, "services": {"ingest": {**compose["services"]["ingest"], "health_check": {}}}}
    assert len(mistakes(broken)) == 1


def test_it_has_the_programs_that_up_starts(compose: dict[str, Any]) -> None:
    here = {program.name for program in platform_programs(PlatformSettings())}
    assert set(compose["services"]) == here | {"setup"}


def test_each_program_runs_the_module_that_up_runs(compose: dict[str, Any]) -> None:
    for program in platform_programs(PlatformSettings()):
        if program.name not in ("kafka", "clickhouse"):
            assert compose["services"][program.name]["command"][0] == program.command[-1]


def test_everything_that_stays_up_has_a_health_check(compose: dict[str, Any]) -> None:
    staying = {name for name, one in compose["services"].items() if one["restart"] == "unless-stopped"}
    assert staying == {"kafka", "clickhouse", "ingest", "streams", "sinks", "alerts"}
    assert all("healthcheck" in compose["services"][name] for name in staying)


def test_images_are_pinned_and_the_key_ring_lies_apart(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        image = re.sub(r"\$\{FAIRPIXEL_[A-Z]+_IMAGE:-(.*)\}", r"\1", service["image"])
        assert re.fullmatch(r"[a-z0-9/-]+:(\d+\.\d+[.\d]*|local)", image)
    mounts = {mount.split(":")[0]: mount.split(":")[1] for mount in compose["services"]["ingest"]["volumes"]}
    assert mounts == {"data": "/data", "keys": "/keys"}


def test_no_password_stands_in_it(compose: dict[str, Any]) -> None:
    assert compose["services"]["clickhouse"]["environment"]["CLICKHOUSE_PASSWORD"].startswith("${")
    kafka = compose["services"]["kafka"]["environment"]
    logins = [value for name, value in kafka.items() if name.endswith("PLAIN_SASL_JAAS_CONFIG")]
    assert len(logins) == 2
    for one in logins:
        assert re.findall(r'(?:password|user_fairpixel-broker)="(?!\$\{FAIRPIXEL_KAFKA_PASSWORD:)', one) == []


def test_its_broker_is_as_closed_as_the_embedded_one(compose: dict[str, Any]) -> None:
    embedded = dict(
        line.split("=", 1)
        for line in server_properties(Path("log"), Ports(9092, 9094, 9093), "").splitlines()
    )
    kafka = compose["services"]["kafka"]["environment"]
    for name in (
        "listener.security.protocol.map", "inter.broker.listener.name", "authorizer.class.name", "super.users",
        "allow.everyone.if.no.acl.found", "listener.name.controller.sasl.enabled.mechanisms",
        "listener.name.open.max.connections", "producer.id.expiration.ms",
    ):  # fmt: skip
        assert str(kafka[f"KAFKA_{name.replace('.', '_').upper()}"]) == embedded[name]
    for name in ("ingest", "streams", "sinks", "alerts", "topics"):
        environment = compose["services"][name]["environment"]
        assert environment["FAIRPIXEL_KAFKA_BOOTSTRAP"] == "kafka:9094"
        assert environment["FAIRPIXEL_KAFKA_SECURITY"] == "sasl_plaintext"
        assert ("FAIRPIXEL_KAFKA_PASSWORD" in environment) is (name == "topics")
    assert "--access" in compose["services"]["topics"]["command"]
    assert "ports" not in compose["services"]["kafka"]


def test_the_image_holds_every_package_and_module_it_runs() -> None:
    dockerfile = (REPO / "deploy" / "Dockerfile").read_text()
    for program in platform_programs(PlatformSettings()):
        module = program.command[-1]
        assert f"COPY {module.split('.')[0]} " in dockerfile
        assert importlib.util.find_spec(module) is not None
