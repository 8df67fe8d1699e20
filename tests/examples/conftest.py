"""One platform for all examples, and a browser for their page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.chromium import browser, context  # noqa: F401  # fixtures
from tests.platform import Platform


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """On ports of its own, with the site that is there from the start."""
    one = Platform(tmp_path_factory.mktemp("examples"))
    try:
        one.up()
        yield one
    finally:
        one.down()
