"""Files that change while the edge runs: good content is taken, broken content is refused and the old stays."""

import os
from pathlib import Path

import pytest

from ingest.reading.sites import Sites
from ingest.reloadable import ReloadableConfiguration
from runtime.config import ConfigError, parse_config
from runtime.settings import PlatformSettings
from schemas.ring import Key, RingError
from tests.ingest.builders import KEY, NOW_MS

SECRETS = f'identity_secret = "{"ab" * 32}"\n[sites.demo]\nsecret_key = "sk-1"\n'


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    (tmp_path / "keys").mkdir()
    (tmp_path / "fairpixel.toml").write_text(
        '[sites.demo]\npublic_keys = ["demo", "pk"]\norigins = ["shop.example"]\n'
    )
    (tmp_path / "secrets.toml").write_text(SECRETS)
    return PlatformSettings(data=tmp_path, keys=tmp_path / "keys")


def touch(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


def test_keys_say_site_and_trust(settings: PlatformSettings) -> None:
    sites = ReloadableConfiguration(settings, {}).sites
    assert [(s.site, s.trust) for s in map(sites.find, ("demo", "pk", "sk-1")) if s] == [
        ("demo", "public"),
        ("demo", "public"),
        ("demo", "secret"),
    ]
    assert [sites.find(key) for key in ("", "sk-2", "SK-1", "\ud800", "x" * 10_000)] == [None] * 5


def test_a_changed_configuration_is_taken_and_a_broken_one_refused(
    settings: PlatformSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    reloadable = ReloadableConfiguration(settings, {})
    touch(settings.config_path, "[sites.other]\n")
    reloadable.refresh()
    assert reloadable.sites.find("other")
    assert reloadable.sites.find("demo") is None
    touch(settings.config_path, "[sites.other]\nbots = 3\n")
    reloadable.refresh()
    assert reloadable.sites.find("other")
    settings.config_path.unlink()
    reloadable.refresh()
    assert reloadable.sites.find("other")


def test_without_any_good_configuration_there_is_no_edge(settings: PlatformSettings) -> None:
    settings.config_path.write_text("[sites.demo]\nbots = 3\n")
    with pytest.raises(ConfigError, match="line 2"):
        ReloadableConfiguration(settings, {})


def test_new_keys_are_taken_and_an_empty_folder_takes_none_away(settings: PlatformSettings) -> None:
    reloadable = ReloadableConfiguration(settings, {})
    with pytest.raises(RingError):
        reloadable.newest_key(NOW_MS)
    (settings.keys / KEY.file_name).write_bytes(KEY.secret)
    reloadable.refresh()
    assert reloadable.newest_key(NOW_MS) == KEY
    newer = Key(NOW_MS, b"\x03" * 8, b"\x04" * 32)
    (settings.keys / newer.file_name).write_bytes(newer.secret)
    reloadable.refresh()
    assert reloadable.newest_key(NOW_MS) == newer
    (settings.keys / "0-00.key").write_bytes(b"half")
    reloadable.refresh()
    assert reloadable.newest_key(NOW_MS) == newer
    for path in settings.keys.iterdir():
        path.unlink()
    reloadable.refresh()
    assert reloadable.newest_key(NOW_MS + 10**10) == newer


def test_ids_made_from_content_are_keyed_where_a_site_has_no_secret_key_too() -> None:
    config = parse_config("[sites.demo]\n[sites.shop]\n")
    sites, elsewhere = (Sites.of(config, {"demo": "sk"}, identity) for identity in (b"a" * 32, b"b" * 32))
    assert sites.id_secret("demo") == "sk"
    assert len({sites.id_secret("shop"), elsewhere.id_secret("shop"), sites.id_secret("demo"), ""}) == 4


@pytest.mark.parametrize(
    ("declared", "origin", "allowed"),
    [
        ([], "https://any.example", True),
        (["https://shop.example"], "https://shop.example", True),
        (["https://shop.example"], "http://shop.example", False),
        (["shop.example"], "http://SHOP.example", True),
        (["https://shop.example/"], "https://shop.example", True),
        (["https://shop.example"], "https://shop.example.evil.example", False),
        (["https://shop.example"], "null", False),
    ],
)
def test_pages_of_declared_origins_may_send(declared: list[str], origin: str, allowed: bool) -> None:
    sites = Sites.of(parse_config(f"[sites.demo]\norigins = {declared}\n"), {})
    credential = sites.find("demo")
    assert credential is not None
    assert credential.may_come_from(origin) is allowed
    assert sites.is_origin_declared(origin) is allowed
