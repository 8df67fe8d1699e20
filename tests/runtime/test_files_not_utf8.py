"""Configuration and secrets saved in another encoding: named with file and byte, never with what they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.config import ConfigError, read_config
from runtime.secrets import SecretsError, read_secrets

LATIN = '[sites."caf\xe9"]\n'.encode("latin-1")


def test_a_configuration_that_is_not_utf_8_is_refused_with_file_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "fairpixel.toml"
    path.write_bytes(LATIN)
    with pytest.raises(ConfigError, match=r"^fairpixel.toml: not UTF-8 at byte 11; save it as UTF-8$"):
        read_config(path)


def test_secrets_that_are_not_utf_8_are_refused_without_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "secrets.toml"
    path.write_bytes(LATIN)
    with pytest.raises(SecretsError) as refused:
        read_secrets(path, {})
    assert str(refused.value) == "secrets.toml: not UTF-8 at byte 11; restore it from a backup"
    assert refused.value.__suppress_context__


def test_a_file_that_is_not_there_stays_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_config(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        read_secrets(tmp_path / "none", {})
