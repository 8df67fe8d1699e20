"""One raw message in, one clean pack out."""

import os

import pytest

from schemas.clean_pack import decode_clean_pack
from schemas.drops import DropReason
from schemas.event import Flag
from schemas.links import Origin, Position
from schemas.ring import Key
from schemas.seal import Accepted
from streams.columns.batch import CleanBatch
from streams.fault import BrokenDependency
from streams.steps.oversize import drop_oversize
from tests.streams.make import KEY, NOW, batch_of, cleaned, decided, page_view, purchase, sealed


def test_a_pack_names_its_origin_its_writer_and_what_it_stores() -> None:
    link = Position("topic", 6, "writer")
    made = decided(sealed([page_view(), purchase()], pack_id=b"p" * 16), link=link)
    pack = decode_clean_pack(made.value)
    assert (pack.head.origin, pack.head.writer, pack.head.link) == (Origin("topic", 0, 7), "writer", link)
    assert (pack.head.answers[0].pack_id, pack.head.answers[0].edge, pack.count) == (
        (b"p" * 16).hex(),
        "edge-1",
        2,
    )
    assert pack.head.answers[0].accepted == (Accepted(NOW // 60_000 * 60, "demo", 2),)
    assert (
        [one.key for one in pack.head.kept_entries()]
        == cleaned(page_view(), purchase()).key
        == list(made.entries)
    )
    assert pack.columns["event_id"] == ["e1", "order-1"]
    assert pack.rules_version


def test_a_pack_of_which_nothing_survives_still_makes_one() -> None:
    pack = decode_clean_pack(decided(sealed([page_view(consent="consent=none")])).value)
    assert (pack.count, pack.head.kept, [one.reason for one in pack.drops]) == (
        0,
        b"",
        [DropReason.NO_CONSENT],
    )
    assert pack.head.answers[0].accepted


def test_a_repeated_pack_stores_drops_and_accepts_nothing() -> None:
    head = decode_clean_pack(decided(sealed([page_view()]), has_pack=lambda _: True).value).head
    assert (head.answers[0].repeat, head.answers[0].dead, head.answers[0].accepted, head.kept) == (
        True,
        "",
        (),
        b"",
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not_a_pack"),
        (b"junk", "not_a_pack"),
        (b"\xc3\x01" + b"12345678" + b"body", "unknown_schema"),
        (sealed([page_view()])[:40], "unreadable"),
        (sealed([page_view()], key=Key(0, b"other---", b"y" * 32)), "no_key"),
    ],
    ids=["empty", "junk", "another schema", "torn", "another key"],
)
def test_what_nobody_can_read_is_dead(value: bytes, reason: str) -> None:
    assert decode_clean_pack(decided(value).value).head.answers[0].dead == reason


def test_a_dead_pack_with_a_readable_envelope_says_what_was_accepted() -> None:
    whole = sealed([page_view()], pack_id=b"p" * 16)
    head = decided(whole[:-1] + bytes([whole[-1] ^ 1])).pack.head
    assert (
        head.answers[0].dead,
        head.answers[0].pack_id,
        sum(one.count for one in head.answers[0].accepted),
    ) == (
        "seal_broken",
        (b"p" * 16).hex(),
        1,
    )


@pytest.mark.parametrize("said", [{"source": "satellite"}, {"flags": 2**62}])
def test_what_decodes_and_defeats_a_step_is_dead_and_no_crash(said: dict[str, object]) -> None:
    assert decided(sealed([page_view(**said)])).pack.head.answers[0].dead == "unreadable"


def test_what_defeats_a_step_unforeseen_is_dead_and_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    def defeated(*_: object) -> CleanBatch:
        raise ZeroDivisionError("content")

    assert decided(sealed([page_view()]), run=defeated).pack.head.answers[0].dead == "unreadable"
    assert "content" not in capsys.readouterr().out


def test_a_broken_disk_is_no_outcome() -> None:
    def broken(_: object) -> bool:
        raise BrokenDependency("disk")

    with pytest.raises(BrokenDependency):
        decided(sealed([page_view()]), has_pack=broken)


@pytest.mark.parametrize("said", [{"name": ""}, {"site": ""}, {"received_at": 0}, {"value_e4": 10**14 + 1}])
def test_an_impossible_event_is_invalid_and_its_neighbours_stay(said: dict[str, object]) -> None:
    batch = cleaned(page_view(**said), page_view(event_id="e2"))
    assert batch.event_id == ["e2"]
    assert batch.dropped == {DropReason.INVALID: 1}


def test_a_pack_that_would_be_too_large_leaves_its_largest_events() -> None:
    big = '{"text":"' + "long words " * 500 + '"}'
    events = [page_view(), page_view(event_id="e2", properties=big), page_view(event_id="e3")]
    pack = decided(sealed(events), size_max=4_000).pack
    assert pack.columns["event_id"] == ["e1", "e3"]
    assert [one.reason for one in pack.drops] == [DropReason.OVERSIZE]


def test_a_pack_without_an_address_leaves_its_largest_events_too() -> None:
    big = '{"text":"' + "long words " * 500 + '"}'
    events = [purchase(), purchase(event_id="order-2", properties=big)]
    pack = decided(sealed(events), size_max=4_000).pack
    assert pack.columns["event_id"] == ["order-1"]
    assert [one.reason for one in pack.drops] == [DropReason.OVERSIZE]


def test_an_oversize_event_hides_no_smaller_copy() -> None:
    big = '{"text":"' + "long words " * 500 + '"}'
    events = [page_view(properties=big), page_view(source="tag")]
    pack = decided(sealed(events), size_max=4_000).pack
    assert (pack.columns["source"], [one.reason for one in pack.drops]) == (["tag"], [DropReason.OVERSIZE])


def test_at_least_one_event_goes_when_a_pack_is_too_large() -> None:
    batch = cleaned(page_view(), page_view(event_id="e2"))
    assert len(drop_oversize(batch, 1)) == 1


def test_nobody_can_be_read_off_the_bytes_of_a_pack_without_consent() -> None:
    said = {
        "visitor_id": "visitor-77",
        "user_id": "user-77",
        "session_id": "session-77",
        "ip": "198.51.100.77",
    }
    value = decided(sealed([page_view(consent="", url="https://a.example/p?page=77secret", **said)])).value
    for text in (*said.values(), "198.51.100", "77secret", "Mozilla"):
        assert text.encode() not in value


def test_flags_of_the_edge_are_kept() -> None:
    assert decided(sealed([page_view(flags=int(Flag.PREFETCH))])).pack.columns["flags"] == [
        int(Flag.PREFETCH)
    ]


def test_keys_are_made_with_the_secret() -> None:
    assert cleaned(page_view()).key != batch_of(page_view()).key
    assert KEY.secret not in decided(sealed([page_view(event_id=os.urandom(8).hex())])).value
