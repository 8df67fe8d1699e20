"""Before anything starts: the data folder, the checks, the configuration that ships, and the command line."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.checks import require_free_ports, require_room
from deploy.cli import command_names
from deploy.data_folder import make_data_folder, secret_keys
from deploy.doctor import examine
from deploy.local import Platform
from deploy.supervisor.client import Process
from deploy.supervisor.health import GRACE_S, Action, Patient, judge
from runtime.config import explain_config, parse_config
from runtime.errors import UserError
from runtime.secrets import parse_secrets
from runtime.settings import PlatformSettings
from tests.processes import REPO, free_port

PORTS = (
    "FAIRPIXEL_EDGE_PORT", "FAIRPIXEL_STREAMS_PORT", "FAIRPIXEL_SINKS_PORT", "FAIRPIXEL_ALERTS_PORT",
    "FAIRPIXEL_CLICKHOUSE_PORT", "FAIRPIXEL_KAFKA_PORT", "FAIRPIXEL_KAFKA_PROGRAMS_PORT",
    "FAIRPIXEL_KAFKA_CONTROLLER_PORT",
)  # fmt: skip


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    ports = {name: str(free_port()) for name in PORTS}
    return {**ports, "FAIRPIXEL_DATA": str(tmp_path / "data"), "FAIRPIXEL_KEYS": str(tmp_path / "keys")}


def fairpixel(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("FAIRPIXEL_")}
    return subprocess.run(
        command, cwd=REPO, env={**outside, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_first_run_makes_secrets_for_their_owner_alone(environ: dict[str, str]) -> None:
    settings = PlatformSettings.from_env(environ)
    assert make_data_folder(settings)
    for path in (settings.secrets_path, settings.config_path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert settings.keys.stat().st_mode & 0o777 == 0o700
    secrets = parse_secrets(settings.secrets_path.read_text(), {})
    assert secrets.site_secret_keys == secret_keys(settings)
    assert len(secrets.clickhouse_password) > 30


def test_the_second_run_changes_nothing(environ: dict[str, str]) -> None:
    settings = PlatformSettings.from_env(environ)
    make_data_folder(settings)
    before = settings.secrets_path.read_bytes()
    settings.config_path.write_text("[sites.other]\n")
    assert not make_data_folder(settings)
    assert settings.secrets_path.read_bytes() == before
    assert settings.config_path.read_text() == "[sites.other]\n"


def test_two_installations_share_no_secret(environ: dict[str, str], tmp_path: Path) -> None:
    one = PlatformSettings.from_env(environ)
    other = PlatformSettings.from_env({**environ, "FAIRPIXEL_DATA": str(tmp_path / "other")})
    make_data_folder(one)
    make_data_folder(other)
    assert not set(secret_keys(one).values()) & set(secret_keys(other).values())


@pytest.mark.parametrize("name", ["fairpixel.toml", "fairpixel-full.toml"])
def test_the_configuration_that_ships_is_valid(name: str) -> None:
    assert "demo" in parse_config((REPO / "deploy" / name).read_text()).sites


def test_the_full_configuration_names_every_setting() -> None:
    text = (REPO / "deploy" / "fairpixel-full.toml").read_text()
    for key, _, _ in explain_config():
        assert f"{key.rsplit('.', 1)[1]} = " in text, key


def test_a_busy_port_is_named_with_its_owner_and_the_setting_that_moves_it(environ: dict[str, str]) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        with pytest.raises(UserError) as caught:
            require_free_ports(PlatformSettings.from_env({**environ, "FAIRPIXEL_EDGE_PORT": port}))
        done = fairpixel({**environ, "FAIRPIXEL_EDGE_PORT": port}, "up", "--detach")
    assert f"port {port} for the edge is taken" in caught.value.what
    assert f"pid {os.getpid()}" in caught.value.what
    assert "FAIRPIXEL_EDGE_PORT" in caught.value.hint
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_port_for_two_programs_is_refused(environ: dict[str, str]) -> None:
    same = {**environ, "FAIRPIXEL_SINKS_PORT": environ["FAIRPIXEL_STREAMS_PORT"]}
    with pytest.raises(UserError, match="more than one program"):
        require_free_ports(PlatformSettings.from_env(same))


def test_a_full_disk_is_named_with_what_is_needed(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    with pytest.raises(UserError, match="10 MB left") as caught:
        require_room(PlatformSettings.from_env(environ))
    assert "FAIRPIXEL_DATA" in caught.value.hint


def test_a_data_folder_that_cannot_be_made_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = fairpixel({**environ, "FAIRPIXEL_DATA": str(tmp_path / "file" / "data")}, "up", "--detach")
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_setting_with_a_typo_is_named(environ: dict[str, str]) -> None:
    done = fairpixel({**environ, "FAIRPIXEL_EDGE_PORT": "fast"}, "status")
    assert done.returncode == 1
    assert 'FAIRPIXEL_EDGE_PORT: expected a whole number, got "fast"' in done.stderr


def test_when_nothing_runs_status_and_down_say_so(environ: dict[str, str]) -> None:
    status = fairpixel(environ, "status")
    assert status.returncode == 1
    assert "Nothing runs" in status.stdout
    down = fairpixel(environ, "down")
    assert down.returncode == 0
    assert "nothing runs" in down.stdout


def test_help_lists_every_command(environ: dict[str, str]) -> None:
    done = fairpixel(environ, "--help")
    assert done.returncode == 0
    assert {"up", "down", "status", "doctor"} <= set(command_names())
    assert all(f" {name} " in done.stdout for name in command_names())


def test_doctor_finds_nothing_wrong_with_a_fresh_folder(environ: dict[str, str]) -> None:
    findings = list(examine(Platform.from_env(environ)))
    assert [f"{one.subject}: {one.found}" for one in findings if one.sign == "wrong"] == []
    assert {"python", "packages", "disk", "ports", "java", "jars", "private"} <= {
        one.subject for one in findings
    }


def test_doctor_finds_a_secret_that_others_can_read(environ: dict[str, str]) -> None:
    settings = PlatformSettings.from_env(environ)
    make_data_folder(settings)
    settings.secrets_path.chmod(0o644)
    (finding,) = [one for one in examine(Platform.from_env(environ)) if one.subject == "private"]
    assert finding.sign == "wrong"
    assert str(settings.secrets_path) in finding.found
    assert "chmod" in finding.hint


def process(age_s: int, state: str = "RUNNING", pid: int = 5) -> Process:
    return Process("streams", pid, state, 0, 1_000, 1_000 + age_s)


def test_a_fresh_program_that_does_not_answer_yet_is_left_alone() -> None:
    assert judge(Patient(), process(GRACE_S - 1), alive=False) == (Patient(5), Action.NOTHING)


def test_one_that_was_well_is_asked_three_times_then_stopped_then_killed() -> None:
    patient, actions = Patient(5, was_well=True), []
    for _ in range(4):
        patient, action = judge(patient, process(10), alive=False)
        actions.append(action)
    assert actions == [Action.NOTHING, Action.NOTHING, Action.STOP, Action.KILL]


def test_an_answer_in_between_forgives_what_was() -> None:
    patient, _ = judge(Patient(5, was_well=True, strikes=2), process(10), alive=True)
    assert patient == Patient(5, was_well=True)


def test_a_new_pid_begins_anew_and_a_stopping_one_is_left_alone() -> None:
    sick = Patient(5, was_well=True, strikes=3)
    assert judge(sick, process(1, pid=6), alive=False)[1] is Action.NOTHING
    assert judge(sick, process(99, state="STOPPING"), alive=False) == (Patient(), Action.NOTHING)
