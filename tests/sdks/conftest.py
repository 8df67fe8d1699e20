"""All SDKs at once against one platform, once on a good network and once on a bad one."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.platform import Platform
from tests.processes import free_port
from tests.sdks.clients import BROWSER, CLIENTS, PYTHON, Client
from tests.sdks.driver import Driver
from tests.sdks.environments import node_modules_with_sdks, python_with_sdks
from tests.sdks.proxy import BadNetwork, Faults

COUNT = 200  # events of each client
DRIVERS_SECONDS_MAX = 120  # from the start of a round
BROWSER_END_SECONDS_MAX = 20
SEED = 4
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Outcome:
    """What became of one client's events."""

    said: list[str]  # what the SDK says it sent: ids, or addresses of pages
    problem: str  # the end of what the driver said of errors
    network: Counter[str]  # what became of its requests
    repeats: list[float]  # seconds between a request and the same again, at the edge at most


@dataclass(frozen=True)
class Round:
    """All clients on one network."""

    name: str
    platform: Platform
    outcomes: dict[str, Outcome]


@dataclass(frozen=True)
class Bench:
    """What drives the SDKs."""

    platform: Platform
    folder: Path  # drivers, and node_modules beside them
    python: Path
    node: Path
    chromium: Path
    page_port: int

    def run(self, name: str, faults: dict[str, Faults]) -> Round:
        """All clients at the same time; returns when everything they sent is loaded."""
        deadline = time.monotonic() + DRIVERS_SECONDS_MAX
        with ExitStack() as stack:
            network = stack.enter_context(BadNetwork(self.platform.edge, SEED))
            ways = {client.name: network.way(client.name, faults[client.name]) for client in CLIENTS}
            browser = stack.enter_context(self._browser(name, ways))
            drivers = {
                client.name: stack.enter_context(self._driver(client, name, ways[client.name]))
                for client in CLIENTS
                if client.kind != BROWSER
            }
            ended = {one: driver.finish(deadline) for one, driver in drivers.items()}
            pages: dict[str, list[str]] = json.loads(browser.first_line() or "{}")
            self._await_pages(name, pages, deadline)
            _, console = browser.finish(time.monotonic() + BROWSER_END_SECONDS_MAX)
        self.platform.settle()
        said = {one: (_ids(output), errors) for one, (output, errors) in ended.items()}
        said |= {
            client.name: (pages.get(client.name, []), console) for client in CLIENTS if client.kind == BROWSER
        }
        outcomes = {
            one: Outcome(*what, network.happened[one], network.repeats[one]) for one, what in said.items()
        }
        return Round(name, self.platform, outcomes)

    def _driver(self, client: Client, name: str, way: str) -> Driver:
        program, ending = (self.python, ".py") if client.kind == PYTHON else (self.node, ".mjs")
        script = self.folder / f"{client.script}{ending}"
        return Driver(program, script, way, client.key(name), COUNT, *client.mode)

    def _browser(self, name: str, ways: dict[str, str]) -> Driver:
        jobs = {
            client.name: {
                "page": client.script,
                "endpoint": ways[client.name],
                "key": client.key(name),
                "count": COUNT,
            }
            for client in CLIENTS
            if client.kind == BROWSER
        }
        driver = Driver(
            sys.executable, self.folder / "browser.py", self.chromium, self.page_port, self.folder
        )
        driver.tell(json.dumps(jobs))
        return driver

    def _await_pages(self, name: str, pages: dict[str, list[str]], deadline: float) -> None:
        """Visitors stay until their events are rows, or for as long as a patient one would."""
        sites = {client.site(name): len(pages[client.name]) for client in CLIENTS if client.name in pages}

        def all_rows() -> bool:
            sql = "SELECT site, count() c FROM fairpixel.events GROUP BY site"
            rows = {row["site"]: row["c"] for row in self.platform.query(sql)}
            return all(rows.get(site, 0) >= count for site, count in sites.items())

        while time.monotonic() < deadline and not all_rows():
            time.sleep(0.25)


@pytest.fixture(scope="package")
def bench(node: Path, chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The SDKs' environments, and a platform with a site for each client and network."""
    python, modules = python_with_sdks(), node_modules_with_sdks(node.with_name("npm"))
    folder = tmp_path_factory.mktemp("sdks")
    shutil.copytree(Path(__file__).parent / "drivers", folder / "drivers")
    (folder / "drivers" / "node_modules").symlink_to(modules)  # where Node looks for modules of these files
    page_port = free_port()
    platform = Platform(folder / "platform")
    platform.data.mkdir(parents=True)
    (platform.data / "fairpixel.toml").write_text(_sites(page_port))
    try:
        platform.up()
        yield Bench(platform, folder / "drivers", python, node, chromium, page_port)
    finally:
        platform.down()


@pytest.fixture(scope="package")
def good_network(bench: Bench) -> Round:
    return bench.run("good", {client.name: Faults() for client in CLIENTS})


@pytest.fixture(scope="package")
def bad_network(bench: Bench) -> Round:
    return bench.run("bad", {client.name: client.faults for client in CLIENTS})


def _sites(page_port: int) -> str:
    origins = f'origins = ["http://127.0.0.1:{page_port}"]\n'
    return (
        "\n".join(
            f'[sites.{client.site(network)}]\npublic_keys = ["{client.key(network)}"]\ndefault_consent = "granted"\n'
            + (origins if client.kind == BROWSER else "")
            for client in CLIENTS
            for network in ("good", "bad")
        )
        + '\n[sites.shop]\npublic_keys = ["shop", "71"]\ndefault_consent = "granted"\n'
    )


def _ids(output: str) -> list[str]:
    lines = output.splitlines()
    return list(json.loads(lines[-1])) if lines else []
