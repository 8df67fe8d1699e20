"""One platform for all journeys; each uses sites and ids of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.chromium import browser, context  # noqa: F401  # fixtures
from tests.platform import Platform, await_that
from tests.webhook import Webhook

SITES = """
[sites.demo]

[sites.steady]

[sites.closed]
default_consent = "denied"

[sites.fenced]
origins = ["https://shop.example"]

[sites.slow]
events_per_second_max = 1

[alerts]
webhook = "{webhook}"
"""


@pytest.fixture(scope="package")
def webhook() -> Iterator[Webhook]:
    """What on-call hears."""
    with Webhook() as one:
        yield one


@pytest.fixture(scope="package")
def welcome(platform_started: tuple[Platform, str]) -> str:
    """What the first `fairpixel up` printed."""
    return platform_started[1]


@pytest.fixture(scope="package")
def platform_started(
    tmp_path_factory: pytest.TempPathFactory, webhook: Webhook
) -> Iterator[tuple[Platform, str]]:
    """The platform and what its start printed."""
    one = Platform(tmp_path_factory.mktemp("journeys"))
    printed = one.up()
    (one.data / "fairpixel.toml").write_text(SITES.format(webhook=webhook.url))
    with (one.data / "secrets.toml").open("a") as secrets:
        for site in ("steady", "fenced"):
            secrets.write(f'\n[sites.{site}]\nsecret_key = "sk_{site}_0123456789"\n')
    await_that(
        lambda: one.get(f"{one.edge}/p.gif?k=slow&e=taken"), "the edge has taken the configuration", 20
    )
    yield one, printed
    one.down()


@pytest.fixture
def platform(platform_started: tuple[Platform, str]) -> Platform:
    return platform_started[0]
