"""The official JDBC driver, which DBeaver, DataGrip, Metabase and Tableau use: what those do, by a class of ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import find_program
from tests.embedded.clickhouse.conftest import Server
from tests.field.clients.conftest import EVENT_COUNT
from tests.field.clients.page import form

DRIVER_VERSION = "0.9.5"
CLASS = Path(__file__).with_name("JdbcClient.java")
PROJECT = f"""<project>
<modelVersion>4.0.0</modelVersion><groupId>fairpixel</groupId><artifactId>jdbc-client</artifactId><version>1</version>
<dependencies><dependency><groupId>com.clickhouse</groupId><artifactId>clickhouse-jdbc</artifactId>
<version>{DRIVER_VERSION}</version></dependency></dependencies></project>"""


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def java_class(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words of a command that runs our class beside the driver."""
    javac = find_program("javac", "default-jdk-headless")
    java, maven = find_program("java", "default-jdk-headless"), find_program("mvn", "maven")
    folder = tmp_path_factory.mktemp("jdbc")
    (folder / "pom.xml").write_text(PROJECT)
    run(maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars", folder=folder)
    run(javac, "-d", folder, CLASS, folder=folder)
    return [str(java), "-cp", f"{folder}:{folder}/jars/*", "JdbcClient"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "properties",
    [
        [],
        ["user=default", "password=", "clickhouse_setting_max_execution_time=30"],
        ["decompress=true", "client.use_http_compression=false"],
        ["client.use_http_compression=true", "clickhouse_setting_session_id=one"],
    ],
    ids=["defaults", "a lower limit", "blocks both ways", "HTTP compression in a session"],
)
def test_the_driver_reads_prepares_and_describes(
    server: Server, java_class: list[str], properties: list[str], tmp_path: Path
) -> None:
    address = form("DBeaver, DataGrip (ClickHouse driver)", server.port)
    printed = run(*java_class, address, *properties, folder=tmp_path)
    told = dict(line.split("=", 1) for line in printed.splitlines())
    lower = "clickhouse_setting_max_execution_time=30" in properties
    assert told.pop("error").startswith("Code: 60. DB::Exception: ")
    assert int(told.pop("schemas")) >= 3
    assert int(told.pop("types")) > 50
    assert int(told.pop("databases")) >= 3
    assert int(told.pop("engines")) > 10
    assert int(told.pop("functions")) > 1000
    assert int(told.pop("keys")) >= 1
    assert float(told.pop("max_execution_time")) == (30 if lower else 60)
    assert told == {
        "rows": str(EVENT_COUNT),
        "many": "300000",
        "at most": "10",
        "no limit": "300",
        "prepared": f"{EVENT_COUNT} 2026-10-12",
        "type": "Date",
        "product": "ClickHouse",
        "table": "events TABLE",
        "version": "1",
        "shown": "1",
        "view": "purchases View",
        "column": "occurred_at DateTime64(3, 'UTC')",
    }
