"""`python -m sinks` between the real Kafka and ClickHouse: packs in, rows once, whatever is killed or frozen."""

from __future__ import annotations

import json
import signal

import pytest

from schemas.drops import DeadReason, DropReason
from tests.processes import await_that
from tests.sinks.packs import Chain
from tests.sinks.server import PASSWORD
from tests.sinks.stage import Stage, publish


def test_packs_become_rows_and_a_balanced_ledger(stage: Stage) -> None:
    chains = [Chain(partition=0), Chain(partition=1)]
    for chain in chains:
        packs = [chain.pack(20, [DropReason.DUPLICATE, DropReason.NO_CONSENT], refused=1) for _ in range(30)]
        publish(stage.bootstrap, [*packs, packs[3], packs[-1]], chain.partition)
    loader = stage.start()
    stage.await_rows(1_200)
    assert stage.is_ready()
    # A row can be read a moment before the loader hears that its block is in.
    await_that(lambda: stage.health()["consumer_lag"] == 0, 5, "the loader counts both blocks as loaded")
    publish(stage.bootstrap, [chains[0].pack(1)], 0)
    stage.await_rows(1_201, within_s=5)
    stage.check(*chains)
    traced = stage.run("trace", chains[0].event_ids[0])
    assert traced.returncode == 0, traced.stderr
    assert "stored as" in traced.stdout
    dropped = stage.run("trace", "dropped-0-3-1").stdout
    assert "dropped: no_consent" in dropped
    unknown = stage.run("trace", "never-seen")
    assert (unknown.returncode, "Nothing is known" in unknown.stdout) == (1, True)
    loader.terminate()
    assert loader.wait(20) == 0


def test_the_ledger_names_a_row_and_a_pack_that_were_removed(stage: Stage) -> None:
    chain = Chain()
    publish(stage.bootstrap, [chain.pack(5, [DropReason.DUPLICATE]) for _ in range(10)])
    stage.start()
    stage.await_rows(50)
    stage.check(chain)
    (row,) = stage.warehouse.rows(
        f"SELECT origin_offset FROM events WHERE event_id = '{chain.event_ids[12]}'"
    )
    stage.warehouse.execute(
        f"ALTER TABLE events DELETE WHERE event_id = '{chain.event_ids[12]}' SETTINGS mutations_sync = 2"
    )
    stage.warehouse.execute("ALTER TABLE events DELETE WHERE origin_offset = 7 SETTINGS mutations_sync = 2")
    told = stage.run("ledger", "--json")
    assert told.returncode == 1
    report = json.loads(told.stdout)
    (difference,) = report["differences"]
    assert (difference["site"], difference["difference"]) == ("demo", 6)
    assert [(pack["offset"], pack["accepted"], pack["kept"]) for pack in difference["packs"]] == [
        (row["origin_offset"], 6, 4),
        (7, 6, 0),
    ]
    assert sum(one["hits"] for one in report["rollups"]) == 6, "the rollup still counts what the rows lack"
    words = stage.run("ledger").stdout
    assert all(pack["pack_id"] in words for pack in difference["packs"])


def test_a_pack_that_was_never_loaded_is_no_silent_loss(stage: Stage) -> None:
    """What links to a missing pack stays out, the lag of the link is told, and the ledger has nothing to hide."""
    chain = Chain()
    first, missing, last = (chain.pack(2) for _ in range(3))
    publish(stage.bootstrap, [first, last])
    stage.start()
    stage.await_rows(2)
    publish(stage.bootstrap, [missing, last])
    stage.await_rows(6)
    stage.check(chain)


@pytest.mark.parametrize("seed", range(2))
def test_a_loader_killed_again_and_again_loads_everything_once(stage: Stage, seed: int) -> None:
    chains = [Chain(partition=0, seed=seed), Chain(partition=1, seed=seed)]
    total = 0
    for round_ in range(4):
        loader = stage.start()
        for chain in chains:
            publish(
                stage.bootstrap, [chain.pack(50, [DropReason.DUPLICATE]) for _ in range(40)], chain.partition
            )
        before, total = total, total + 4_000
        share = (0.2, 0.5, 0.9, 0.01)[(seed + round_) % 4]
        stage.await_rows(before + int(4_000 * share))
        loader.kill()
        loader.wait()
    stage.start()
    stage.await_rows(total)
    stage.check(*chains)


def test_a_frozen_loader_that_wakes_after_a_takeover_does_no_harm(stage: Stage) -> None:
    chain = Chain()
    frozen = stage.start()
    await_that(stage.is_ready, 30, "the loader has its partitions")
    publish(stage.bootstrap, [chain.pack(50) for _ in range(200)])
    stage.await_rows(50)
    frozen.send_signal(signal.SIGSTOP)
    publish(stage.bootstrap, [chain.pack(50) for _ in range(50)])
    stage.start()
    stage.await_rows(12_500)
    frozen.send_signal(signal.SIGCONT)
    publish(stage.bootstrap, [chain.pack(50) for _ in range(50)])
    stage.await_rows(15_000)
    stage.check(chain)


@pytest.mark.timeout(120)
def test_a_loader_whose_kafka_client_hangs_ends_itself_and_the_next_one_loads_the_rest(stage: Stage) -> None:
    chain = Chain()
    publish(stage.bootstrap, [chain.pack(20) for _ in range(20)])
    hanging = stage.start("tests.sinks.loader.hanging_loader", "2")
    stage.await_rows(20)
    publish(stage.bootstrap, [chain.pack(20) for _ in range(20)])
    assert hanging.wait(60) == 1, "the watchdog asks with a client of its own"
    assert "packs wait and none is loaded" in (stage.folder / "sinks.log").read_text()
    stage.start()
    stage.await_rows(800)
    stage.check(chain)


def test_clickhouse_killed_under_load_is_waited_for(stage: Stage) -> None:
    chain = Chain()
    stage.start()
    await_that(stage.is_ready, 30, "the loader has its partitions")
    publish(stage.bootstrap, [chain.pack(100) for _ in range(300)])
    stage.await_rows(100)
    stage.clickhouse.kill()
    publish(stage.bootstrap, [chain.pack(100) for _ in range(50)])
    await_that(lambda: stage.health()["status"] == "waiting", 30, "the loader says what it waits for")
    assert "ClickHouse" in stage.health()["detail"]
    stage.clickhouse.start()
    stage.await_rows(35_000)
    stage.check(chain)
    assert stage.health()["status"] == "ok"


def test_broken_bytes_become_one_dead_letter_and_a_restart_writes_no_second(stage: Stage) -> None:
    chain = Chain()
    packs = [chain.pack(2) for _ in range(4)]
    publish(
        stage.bootstrap, [packs[0], b"\x00\x01 no pack", packs[1], packs[1][:10] + b"\xff" * 50, *packs[2:]]
    )
    for _ in range(2):
        loader = stage.start()
        stage.await_rows(8)
        await_that(lambda: len(stage.dead_letters()) == 2, 30, "both are put aside")
        loader.kill()
        loader.wait()
    stage.check(chain)
    assert sorted((one.origin.offset, one.reason) for one in stage.dead_letters()) == [
        (1, DeadReason.NOT_A_PACK),
        (3, DeadReason.UNREADABLE),
    ]


def test_a_pack_clickhouse_cannot_read_is_put_aside_and_counted_as_dead(stage: Stage) -> None:
    chain = Chain()
    packs = [chain.pack(2), chain.pack(3), chain.pack(2)]
    torn = packs[1][:-200]
    publish(stage.bootstrap, [packs[0], torn, packs[2]])
    stage.start()
    stage.await_rows(4)
    assert [one.value for one in stage.dead_letters()] == [torn]
    assert stage.count("SELECT sum(dead) AS n FROM ledger") == 3
    assert stage.run("ledger").returncode == 0


def test_a_lost_group_is_made_up_for_by_positions(stage: Stage) -> None:
    chain = Chain()
    publish(stage.bootstrap, [chain.pack(2) for _ in range(5)])
    loader = stage.start()
    stage.await_rows(10)
    loader.kill()
    loader.wait()
    publish(stage.bootstrap, [chain.pack(2) for _ in range(5)])
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": stage.bootstrap})

    def forget() -> bool:
        try:
            admin.delete_consumer_groups([stage.group])[stage.group].result(10)
        except Exception as error:  # the group must have lost its dead member first
            return "GROUP_ID_NOT_FOUND" in str(error)
        return True

    await_that(forget, 30, "the group is forgotten")
    stage.start()
    stage.await_rows(20)
    stage.check(chain)
    assert "position_from_clickhouse" in (stage.folder / "sinks.log").read_text()


def test_no_log_line_speaks_of_a_person(stage: Stage) -> None:
    chain = Chain()
    columns = {
        "visitor": ["visitor-hash"] * 2,
        "event_id": ["mark-1", "mark-2"],
        "path": ["/secret-path"] * 2,
    }
    publish(stage.bootstrap, [chain.pack(2, columns=columns), b"mark-3 broken"])
    loader = stage.start()
    stage.await_rows(2)
    loader.terminate()
    loader.wait(20)
    log = (stage.folder / "sinks.log").read_text()
    assert "loader_started" in log
    assert not any(word in log for word in ("visitor-hash", "mark-", "secret-path", PASSWORD))
