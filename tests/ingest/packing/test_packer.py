"""How events become packs: when a pack closes, what stands outside its seal, and that nothing is forgotten."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.packing.pack import close_pack, count_accepted
from ingest.packing.packer import ENOUGH_EVENTS
from schemas.drops import DropReason
from schemas.identity import partition_of
from schemas.pack import PackLimits, Refusal
from schemas.seal import Accepted, read_envelope
from tests.ingest.builders import KEY, NOW_MS, Sent, open_pack, packer, row, run

MINUTE = NOW_MS // 60_000 * 60


async def until(condition, seconds: float = 3) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def test_an_event_at_rest_leaves_within_milliseconds_and_waits_for_its_word() -> None:
    async def journey() -> None:
        sent = Sent()
        done = packer(sent).add(row())
        await until(lambda: sent.packs)
        assert not done.done()
        sent.settle_all()
        assert await done is True

    run(journey)


def test_the_next_pack_waits_for_the_one_before_it_but_not_for_ever() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(age_ms_max=60))
        one.add(row("a"))
        await until(lambda: len(sent.packs) == 1)
        one.add(row("b"))
        await asyncio.sleep(0.02)
        assert len(sent.packs) == 1  # the first is still under way
        sent.settle_all()
        assert len(sent.packs) == 2  # ripe, and nothing to wait for
        one.add(row("c"))
        await until(lambda: len(sent.packs) == 3)  # 60 ms old: leaves although the second is under way

    run(journey)


def test_packs_that_wait_for_nothing_leave_together() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, partitions=3, limits=PackLimits(age_ms_max=10_000))
        ids: dict[int, list[str]] = {0: [], 1: [], 2: []}
        for number in range(60):
            ids[partition_of("demo", "page_view", str(number), 3)].append(str(number))
        one.add(row(ids[2].pop()))
        await until(lambda: len(sent.packs) == 1)
        one.add(row(ids[2].pop()))  # waits for the one before it
        one.add(row(ids[0].pop()))
        await asyncio.sleep(0)
        one.add(row(ids[1].pop()))
        await until(lambda: len(sent.packs) > 1)
        assert [pack.partition for pack in sent.packs] == [2, 0, 1]  # in one turn of the loop

    run(journey)


def test_hits_nobody_waits_for_share_a_pack_for_longer() -> None:
    async def journey() -> None:
        sent, kept = Sent(), []
        one = packer(sent, limits=PackLimits(age_ms_max=500))
        for number in range(4):
            one.put(row(str(number)), kept.append, patient=True)
            await asyncio.sleep(0.004)
        assert sent.packs == []
        await until(lambda: sent.packs)
        assert [pack.event_count for pack in sent.packs] == [4]
        sent.settle_all()
        assert kept == [True] * 4

    run(journey)


def test_a_sender_that_waits_takes_the_patient_ones_along() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(age_ms_max=10_000))
        one.add(row("a"), patient=True)
        await asyncio.sleep(0.01)
        one.add(row("b"))
        assert [pack.event_count for pack in sent.packs] == [2]  # at once, as the pack is old enough
        one.add(row("c"))
        one.add(row("d"), patient=True)
        sent.settle_all()
        await until(lambda: len(sent.packs) == 2)
        assert sent.packs[1].event_count == 2

    run(journey)


def test_a_patient_pack_that_must_hurry_still_waits_for_the_one_before_it() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(age_ms_max=500))
        one.add(row("a"))
        await until(lambda: len(sent.packs) == 1)  # and is not acknowledged
        one.add(row("b"), patient=True)
        await asyncio.sleep(0.02)
        for name in "cde":
            one.add(row(name))
        assert len(sent.packs) == 1
        sent.settle_all()
        assert [pack.event_count for pack in sent.packs] == [1, 4]

    run(journey)


def test_no_pack_becomes_older_than_it_may() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(age_ms_max=100))
        one.add(row("a"))
        await until(lambda: len(sent.packs) == 1)  # and is never acknowledged
        start = asyncio.get_running_loop().time()
        one.add(row("b"), patient=True)
        ends_at = one._open[0].ends_at
        assert ends_at <= start + 0.11
        await asyncio.sleep(0.02)
        one.add(row("c"))
        assert one._open[0].ripe_at == ends_at
        await until(lambda: len(sent.packs) == 2)

    run(journey)


def test_a_patient_pack_with_enough_events_waits_no_longer() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(age_ms_max=10_000))
        one.add(row("first"), patient=True)
        await asyncio.sleep(0.01)
        for number in range(ENOUGH_EVENTS - 1):
            assert sent.packs == []
            one.add(row(str(number)), patient=True)
        assert [pack.event_count for pack in sent.packs] == [ENOUGH_EVENTS]

    run(journey)


def test_patient_packs_of_several_partitions_leave_together() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, partitions=2, limits=PackLimits(age_ms_max=500))
        for number in range(8):
            one.add(row(str(number)), patient=True)
            await asyncio.sleep(0.001)
        await until(lambda: sent.packs)
        assert sorted(pack.partition for pack in sent.packs) == [0, 1]

    run(journey)


def test_a_full_pack_closes_at_once() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(event_count_max=3))
        for number in range(7):
            one.add(row(str(number)))
        assert [pack.event_count for pack in sent.packs] == [3, 3]

    run(journey)


def test_a_pack_never_grows_beyond_its_bytes() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent)
        for number in range(200):
            one.add(row(str(number), properties="é" * 16_000, url="x" * 4_000))
        one.flush()
        assert len(sent.packs) > 5
        for pack in sent.packs:
            batch = open_pack(pack.message).batch
            assert (
                sum(len(p.encode()) + len(u) for p, u in zip(batch.properties, batch.url, strict=True))
                <= 900_000
            )

    run(journey)


def test_copies_of_one_event_meet_in_one_partition() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, partitions=4)
        for number in range(40):
            one.add(row(str(number % 10)))
        one.flush()
        for pack in sent.packs:
            for event in open_pack(pack.message).batch.to_events():
                assert partition_of(event.site, event.name, event.event_id, 4) == pack.partition
        assert sum(pack.event_count for pack in sent.packs) == 40

    run(journey)


def test_a_pack_nobody_took_is_told_to_its_senders_and_its_refusals_travel_again() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent)
        one.refuse(MINUTE, "demo", "invalid", 3)
        done = one.add(row())
        one.flush()
        sent.settle_all(kept=False)
        assert await done is False
        assert one.waiting_events == 0
        one.flush()
        assert open_pack(sent.packs[1].message).refusals == (Refusal(MINUTE, "demo", "invalid", 3),)

    run(journey)


def test_a_refusal_that_is_answered_as_success_is_kept_first() -> None:
    async def journey() -> None:
        sent = Sent()
        done = packer(sent).refuse_aloud(MINUTE, "demo", DropReason.ORIGIN_REFUSED)
        await until(lambda: sent.packs)
        assert not done.done()
        pack = sent.packs[0]
        assert (pack.event_count, read_envelope(pack.message).accepted) == (0, ())
        sent.settle_all()
        assert await done

    run(journey)


def test_counts_travel_with_the_pack_that_was_promised_whichever_closes_first() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, partitions=2)
        number = next(n for n in range(99) if partition_of("demo", "page_view", str(n), 2) == 1)
        one.add(row(str(number)))
        kept = one.refuse_aloud(MINUTE, "demo", DropReason.INVALID)
        await until(lambda: len(sent.packs) == 2)
        counted = [
            pack.partition
            for pack in sent.packs
            if open_pack(pack.message).refusals == (Refusal(MINUTE, "demo", "invalid", 1),)
        ]
        assert counted == [0]
        for pack, tell in zip(sent.packs, list(sent.settle), strict=True):
            if pack.partition == 1:
                tell(True)
        assert not kept.done()
        sent.settle_all()
        assert await kept is True

    run(journey)


def test_a_row_that_fits_into_no_pack_is_a_count() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, limits=PackLimits(size_bytes_max=2_000))
        one.add(row("a"))
        kept = one.add(row("b", url="x" * 3_000))
        await until(lambda: sent.packs)
        opened = open_pack(sent.packs[0].message)
        assert opened.batch.event_id == ["a"]
        assert opened.refusals == (Refusal(MINUTE, "demo", "oversize", 1),)
        sent.settle_all()
        assert await kept is True

    run(journey)


def test_more_partitions_are_used_once_they_are_known() -> None:
    async def journey() -> None:
        sent = Sent()
        one = packer(sent, partitions=1)
        one.grow(3)
        for number in range(50):
            one.add(row(str(number)))
        one.flush()
        assert {pack.partition for pack in sent.packs} == {0, 1, 2}

    run(journey)


rows = st.lists(
    st.builds(
        row,
        event_id=st.text(max_size=3),
        site=st.sampled_from(["a", "b"]),
        received_at=st.integers(NOW_MS, NOW_MS + 130_000),
    ),
    max_size=30,
)


@given(rows)
@settings(max_examples=60)
def test_accepted_counts_each_event_under_its_site_and_minute(events: list) -> None:  # type: ignore[type-arg]
    plain: dict[tuple[int, str], int] = {}
    for one in events:
        plain[one[9] // 60_000 * 60, one[1]] = plain.get((one[9] // 60_000 * 60, one[1]), 0) + 1
    assert count_accepted(events) == [
        Accepted(minute, site, count) for (minute, site), count in sorted(plain.items())
    ]
    pack = close_pack("e", 0, events, [], KEY, b"p" * 16, b"n" * 12)
    assert (
        sum(one.count for one in read_envelope(pack.message).accepted)
        == len(open_pack(pack.message).batch)
        == len(events)
    )
