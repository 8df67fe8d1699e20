"""One platform for all pages, started and stopped by the commands of docs/operations.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.check_operations import running_platform
from tests.docs.terminal import Terminal
from tests.platform import Platform


@pytest.fixture(scope="package")
def terminal(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """A reader's terminal beside a platform that runs in the foreground of another one."""
    folder = tmp_path_factory.mktemp("docs")
    platform = Platform(
        folder / "platform", {"FAIRPIXEL_KAFKA_PARTITIONS": "0"}
    )  # they grow as the page says

    def find_nginx() -> Path:
        found: Path = request.getfixturevalue("nginx")
        return found

    one = Terminal(platform, folder / "reader", find_nginx)
    try:
        with running_platform(one):
            yield one
    finally:
        platform.down()  # where that failed
