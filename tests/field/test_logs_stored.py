"""The same lines by the command that people call, through Kafka and streams into ClickHouse: a site for each case."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from deploy.cli import main
from schemas.event import Flag
from tests.field.log_cases import CASES, bytes_of
from tests.platform import Platform, await_that

# What a row of ClickHouse cannot tell as it was said: hashed, or read and left out.
NOT_STORED = {"user", "agent"}
OF_A_PERSON = {"ip_network", "utm_campaign"}
COLUMNS = (
    "site, event_id, host, path, ip_network, referrer_host, utm_campaign, is_bot, kind, flags, "
    "JSONExtractInt(properties, 'status') AS status, toUnixTimestamp64Milli(occurred_at) AS at"
)


def site_of(case: dict[str, Any]) -> str:
    """The site that a case is imported for; see the platform's configuration in conftest.py."""
    return f"log-{CASES.index(case)}"


def run_import(case: dict[str, Any], path: Path) -> int:
    """The command's exit code."""
    words = ["logs", "import", "--site", site_of(case), str(path)]
    for name in ("format", "pattern", "host"):
        if name in case:
            words[2:2] = [f"--{name}", case[name]]
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def stored(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The rows of every case, by its site; everything is imported, then waited for once."""

    def rules_are_taken() -> bool:
        """Whether streams knows the sites: what it decides before that is anonymous."""
        platform.get(f"{platform.edge}/p.gif?k=log-0&e=probe")
        return (
            platform.count(
                "SELECT count() FROM fairpixel.events WHERE name = 'probe' AND basis = 'consented'"
            )
            > 0
        )

    await_that(rules_are_taken, "streams has taken the sites of the log cases", 30, every=1)
    with patch.dict(os.environ, platform.env):
        for case in CASES:
            path = tmp_path_factory.mktemp("log") / "access.log"
            path.write_bytes(bytes_of(case))
            code = run_import(case, path)
            assert (code != 0) == ("says" in case), case["id"]
    platform.settle()
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in platform.query(
        f"SELECT {COLUMNS} FROM fairpixel.events WHERE source = 'log' ORDER BY site, at, event_id"
    ):
        rows.setdefault(row["site"], []).append({**row, "gpc": bool(row["flags"] & Flag.GPC)})
    return rows


def told_of(row: dict[str, Any]) -> dict[str, Any]:
    """What a stored row says of one that was read: with GPC and no choice of a person, nothing of one."""
    left_out = NOT_STORED | OF_A_PERSON if row.get("gpc") else NOT_STORED
    return {name: value for name, value in row.items() if name not in left_out}


def fits(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all((found[name] or "") == (value or "") for name, value in wanted.items())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=[one["id"] for one in CASES])
def test_each_line_is_a_row_or_refused_on_the_real_parts(
    case: dict[str, Any], stored: dict[str, list[dict[str, Any]]]
) -> None:
    found = stored.get(site_of(case), [])
    wanted = [told_of(row) for row in case.get("rows", [])]
    assert len(found) == len(wanted)
    left = list(found)
    for row in wanted:  # they have no order: those of one second have one time
        fitting = next((one for one in left if fits(one, row)), None)
        assert fitting is not None, (row, [{name: one[name] for name in row} for one in left])
        left.remove(fitting)
    for hidden in case.get("hidden", ()):
        assert not any(hidden in str(value) for row in found for value in row.values())
