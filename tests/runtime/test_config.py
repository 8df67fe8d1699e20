"""A configuration is used whole or refused with line and reason."""

import pytest

from runtime.config import ConfigError, explain_config, parse_config
from runtime.secrets import SecretsError, parse_secrets
from runtime.settings import PlatformSettings, SettingError

GOOD = """
[sites.demo]
default_consent = "unknown"

[sites.shop]
public_keys = ["pk_shop", "shop.example"]
origins = ["https://shop.example"]

[alerts]
webhook = "http://127.0.0.1:9/hook"
"""


def test_a_small_file_is_enough() -> None:
    config = parse_config(GOOD)
    assert config.public_keys("demo") == ("demo",)
    assert config.public_keys("shop") == ("pk_shop", "shop.example")
    assert config.alerts.webhook == ("http://127.0.0.1:9/hook",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sites.demo\n", "line 1"),
        ('[sites.demo]\n\ndefault_consent = "perhaps"\n', "line 3: sites.demo.default_consent"),
        ("[sites.demo]\nretention_days = 0\n", "line 2: sites.demo.retention_days"),
        (
            "[sites.demo]\nsecret_events_per_second_max = 0\n",
            "line 2: sites.demo.secret_events_per_second_max",
        ),
        ("[sites.demo]\ncolour = 1\n", "line 2: sites.demo.colour"),
        ('[sites."Not A Name"]\n', "sites.Not A Name"),
        ('[sites.a]\npublic_keys = ["k"]\n[sites.b]\npublic_keys = ["k"]\n', "two sites, a and b"),
        ('[alerts]\nwebhook = "ftp://x"\n', "line 2: alerts.webhook"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text)


def test_every_key_of_the_file_is_explained() -> None:
    assert all(meaning for _, _, meaning in explain_config())


def test_settings_come_from_the_environment() -> None:
    settings = PlatformSettings.from_env(
        {"FAIRPIXEL_EDGE_PORT": "18000", "FAIRPIXEL_KAFKA_PORT": "19092", "HOME": "x"}
    )
    assert settings.edge_url == "http://127.0.0.1:18000"
    assert settings.bootstrap == "127.0.0.1:19092"
    assert settings.warehouse_url == "http://127.0.0.1:8123"


@pytest.mark.parametrize("text", ["fast", "-1", "0", "70000", "1.5"])
def test_a_setting_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(SettingError, match=r"FAIRPIXEL_EDGE_PORT: expected .* got"):
        PlatformSettings.from_env({"FAIRPIXEL_EDGE_PORT": text})


def test_secrets_are_read_and_never_shown() -> None:
    secrets = parse_secrets(
        f'clickhouse_password = "pw"\nidentity_secret = "{"ab" * 32}"\n[sites.demo]\nsecret_key = "sk_1"\n',
        {},
    )
    assert (secrets.clickhouse_password, secrets.site_secret_keys) == ("pw", {"demo": "sk_1"})
    assert "pw" not in repr(secrets)
    assert "sk_1" not in repr(secrets)


def test_the_environment_overrides_secrets() -> None:
    secrets = parse_secrets(
        f'clickhouse_password = "pw"\nidentity_secret = "{"ab" * 32}"\n',
        {"FAIRPIXEL_CLICKHOUSE_PASSWORD": "other", "FAIRPIXEL_IDENTITY_SECRET": "cd" * 32},
    )
    assert secrets.clickhouse_password == "other"
    assert secrets.identity_secret == bytes.fromhex("cd" * 32)


@pytest.mark.parametrize(
    "text",
    ["clickhouse_password = 'hush", 'identity_secret = "hush"', 'identity_secret = "abcd"', "sites = 3"],
)
def test_broken_secrets_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(SecretsError) as caught:
        parse_secrets(text, {})
    assert "hush" not in str(caught.value)
    assert "abcd" not in str(caught.value)
