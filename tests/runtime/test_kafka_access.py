"""How a program's way to Kafka follows from the settings."""

from __future__ import annotations

import pytest

from runtime.kafka_access import KafkaAccess, find_access
from runtime.settings import PlatformSettings, SettingError


def settings(**values: str) -> PlatformSettings:
    """Of a data folder that is not there: the one of whoever runs the tests may hold logins."""
    variables = {f"FAIRPIXEL_KAFKA_{name}": value for name, value in values.items()}
    return PlatformSettings.from_env({"FAIRPIXEL_DATA": "/nowhere/fairpixel", **variables})


def client(access: KafkaAccess) -> dict[str, object]:
    return {name: value for name, value in access.client().items() if name != "error_cb"}


def test_a_cluster_without_logins_is_reached_as_before():
    access = find_access(settings(BOOTSTRAP="a:9092,b:9092"), "ingest")
    assert client(access) == {"bootstrap.servers": "a:9092,b:9092", "security.protocol": "plaintext"}


def test_a_login_goes_encrypted_unless_told_otherwise():
    access = find_access(settings(BOOTSTRAP="a:9092", USER="u", PASSWORD="p", CA="/ca.pem"), "sinks")
    assert client(access) == {
        "bootstrap.servers": "a:9092",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.ca.location": "/ca.pem",
    }


def test_nobody_reads_the_password_of_an_access_that_is_printed():
    access = find_access(settings(BOOTSTRAP="a:9092", USER="u", PASSWORD="hush"), "sinks")
    assert "hush" not in f"{access} {access!r}"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"SECURITY": "tls"}, "FAIRPIXEL_KAFKA_SECURITY"),
        ({"MECHANISM": "GSSAPI"}, "FAIRPIXEL_KAFKA_MECHANISM"),
        ({"USER": "u"}, "FAIRPIXEL_KAFKA_PASSWORD"),
        ({"USER": "u", "PASSWORD": "hush", "SECURITY": "plaintext"}, "FAIRPIXEL_KAFKA_SECURITY"),
        ({"SECURITY": "sasl_ssl"}, "FAIRPIXEL_KAFKA_USER"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name_and_without_the_password(values, named):
    with pytest.raises(SettingError, match=named) as refused:
        find_access(settings(BOOTSTRAP="a:9092", **values), "ingest")
    assert "hush" not in str(refused.value)


def test_a_program_of_the_embedded_broker_reads_its_own_login(tmp_path):
    folder = tmp_path / "kafka-logins"
    folder.mkdir()
    (folder / "sinks").write_text("hush\n")
    access = find_access(PlatformSettings(data=tmp_path), "sinks")
    assert (access.bootstrap, access.user, access.password) == ("127.0.0.1:9094", "fairpixel-sinks", "hush")
    assert access.client()["security.protocol"] == "sasl_plaintext"
    with pytest.raises(SettingError, match="kafka-logins/ingest: not found"):
        find_access(PlatformSettings(data=tmp_path), "ingest")
