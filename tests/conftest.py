"""What many tests share: one real broker a run, on free ports, in a temporary folder; programs a machine may lack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deploy.embedded import kafka as embedded_kafka
from deploy.embedded.kafka_probe import Broker, probe
from tests.broker import make_topics
from tests.ingest.edges import SITES, Edge, StartEdge
from tests.processes import REPO, await_that, free_port

# A busy machine is no finding: nothing here is timed.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

# Faults whose recovery is timed, and browsers that send again by themselves: a neighbour would add faults of its own.
ALONE = {"faults", "sdks", "browser"}
FIRST = "journeys"  # the longest folder: started last, it would be waited for
# Folders that share nothing with their neighbours and so need not be in one process with them.
APART = {"ingest/protocols", "embedded/clickhouse", "embedded/kafka"}
LEFT_OUT = "left out, as this machine has no "


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of `make faults`."""
    parser.addoption(
        "--fault-runs", dest="fault_runs", type=int, default=1, help="how often each fault is tried"
    )
    parser.addoption(
        "--kafka-away-seconds",
        dest="kafka_away_seconds",
        type=float,
        default=6,
        help="how long Kafka is away at least; 600 takes a quarter of an hour",
    )
    parser.addoption(
        "--kafka-away-spool-bytes",
        dest="kafka_away_spool_bytes",
        type=int,
        default=1_000_000,
        help="the spool's bound meanwhile; the test goes on until it is reached",
    )
    parser.addoption("--fault-seed", dest="fault_seed", type=int, default=1, help="the first of the seeds")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes that nobody can read, as of gzip with its clock or of a seal: each process must find the same names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None


def group_of(path: Path) -> str:
    """The tests that stay together: those of one folder below tests/, with the rooms inside it."""
    folders = path.relative_to(Path(__file__).parent).parent.parts
    whole = "/".join(folders[:2])
    return whole if whole in APART else folders[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """A group stays in one of the processes that test side by side; what a busy machine would change is alone."""
    group = group_of(item.path)
    item.add_marker(pytest.mark.xdist_group(group))
    if group in ALONE:
        item.add_marker(pytest.mark.alone)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups in one piece, whatever the random order: a platform that a group shares starts once, not once a file."""
    groups = [group_of(item.path) for item in items]
    place = {group: n for n, group in enumerate(dict.fromkeys(groups))}
    inside = {folder: n for n, folder in enumerate(dict.fromkeys(item.path.parent for item in items))}
    items.sort(
        key=lambda item: (
            (group := group_of(item.path)) != FIRST,
            place[group],
            inside[item.path.parent],
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: list[str]) -> None:
    """No test is lost: of several that share a name, xdist would run one."""
    if twice := [name for name, count in Counter(ids).items() if count > 1]:
        pytest.exit(f"several tests have one name, so they must be marked alone: {twice}", 4)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what was left out for want of a program, and how to get it."""
    reasons = (report.longrepr[2] for report in terminalreporter.getreports("skipped"))
    left_out = Counter(reason.removeprefix("Skipped: ") for reason in reasons if LEFT_OUT in reason)
    if left_out:
        terminalreporter.section("left out")
    for reason, count in left_out.items():
        terminalreporter.line(f"{count} {'test' if count == 1 else 'tests'} {reason}")


def find_program(name: str, debian_package: str) -> Path:
    """Where a program is. Without it the test is left out and named in the summary; in CI it fails."""
    if found := shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])):
        return Path(found)
    why = f"{LEFT_OUT}{name} (Debian: apt install {debian_package})"
    if os.environ.get("FAIRPIXEL_CI") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def node() -> Path:
    """Node, with npm beside it."""
    find_program("npm", "npm")
    return find_program("node", "nodejs")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """A real browser."""
    return find_program("chromium", "chromium")


@pytest.fixture(scope="session")
def nginx() -> Path:
    return find_program("nginx", "nginx-light")


@pytest.fixture(scope="session")
def kafka_installed() -> embedded_kafka.Broker:
    """Jars and start-up cache are in place, so that no test pays for the download inside its own time limit."""
    return embedded_kafka.install()


@pytest.fixture(scope="session")
def kafka(kafka_installed: embedded_kafka.Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a broker that lives as long as the run (one for each xdist worker), with our topics."""
    data: Path = tmp_path_factory.mktemp("kafka")
    port = free_port()
    environ = {
        **os.environ,
        "FAIRPIXEL_DATA": str(data),
        "FAIRPIXEL_KAFKA_PORT": str(port),
        "FAIRPIXEL_KAFKA_PROGRAMS_PORT": str(free_port()),
        "FAIRPIXEL_KAFKA_CONTROLLER_PORT": str(free_port()),
    }
    log = data / "kafka.log"
    with log.open("wb") as output:
        broker = subprocess.Popen(
            [sys.executable, "-m", "tests.open_broker"],
            cwd=REPO,
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        await_that(
            lambda: probe("127.0.0.1", port) is Broker.READY or broker.poll() is not None,
            60,
            "the broker is ready",
        )
        assert broker.poll() is None, f"the broker ended: {log.read_text()[-2000:]}"
        make_topics(f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"
    finally:
        broker.terminate()
        try:
            broker.wait(15)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="module")
def start_edge(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEdge]:
    """Starts edges for the tests of a module; see tests/ingest/edges.py."""
    with ExitStack() as running:

        def start(env: Mapping[str, str] | None = None, *, sites: str = SITES, secrets: str = "") -> Edge:
            folder = tmp_path_factory.mktemp("edge")
            return running.enter_context(Edge(folder, kafka, dict(env or {}), sites=sites, secrets=secrets))

        yield start


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    """An edge with nothing special about it; a module that needs another has a fixture of this name."""
    return start_edge()
