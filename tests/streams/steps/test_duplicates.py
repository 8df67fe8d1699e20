"""Copies, collisions and sightings."""

from typing import Any

from schemas.clean_pack import SOURCE_CODE
from schemas.drops import DropReason
from schemas.event import Event, Flag
from streams.columns.batch import CleanBatch
from streams.steps.duplicates import Known
from tests.streams.make import NOW, cleaned, page_view, purchase


def stored(batch: CleanBatch) -> dict[bytes, Known]:
    return {
        key: Known(SOURCE_CODE[source][0], fingerprint)
        for key, source, fingerprint in zip(batch.key, batch.source, batch.fingerprint, strict=True)
    }


def test_a_copy_of_a_stored_event_is_dropped_and_sighted() -> None:
    memory = stored(cleaned(page_view()))
    batch = cleaned(page_view(source="tag"), look_up=lambda keys: list(map(memory.get, keys)))
    assert batch.dropped == {DropReason.DUPLICATE: 1}
    assert [(one.event_id, one.source, one.value_e4) for one in batch.sightings] == [("e1", "tag", 0)]


def test_a_copy_in_the_same_pack_is_dropped() -> None:
    batch = cleaned(page_view(), page_view(event_id="e2"), page_view())
    assert batch.event_id == ["e1", "e2"]
    assert batch.dropped == {DropReason.DUPLICATE: 1}


def test_a_retry_with_another_clock_address_and_agent_is_a_copy() -> None:
    again = page_view(sent_at=9, received_at=NOW + 60_000, ip="198.51.100.1", user_agent="", language="")
    assert len(cleaned(page_view(), again)) == 1


def test_a_secret_copy_brings_its_values() -> None:
    public = purchase(source="pixel", trust="public", value_e4=0, user_id="")
    [seen] = cleaned(public, purchase()).sightings
    assert (seen.value_e4, seen.currency, seen.trust, len(seen.user)) == (199_000, "EUR", "secret", 32)
    [seen] = cleaned(purchase(), public).sightings
    assert (seen.value_e4, seen.currency, seen.user, seen.properties) == (0, "", "", "")


def test_a_copy_that_was_dropped_hides_no_later_one() -> None:
    batch = cleaned(page_view(consent="consent=none"), page_view())
    assert (len(batch), batch.dropped) == (1, {DropReason.NO_CONSENT: 1})


def refund(**said: Any) -> Event:
    return purchase(**{"name": "refund", "kind": "custom", **said})


def test_other_words_from_the_same_source_are_another_event() -> None:
    batch = cleaned(refund(), refund(value_e4=5), refund(value_e4=5), refund(value_e4=6))
    assert batch.event_id[0] == "order-1"
    assert all(one.startswith("order-1~") and len(one) == 16 for one in batch.event_id[1:])
    assert batch.value_e4 == [199_000, 5, 6]
    assert [bool(flags & Flag.ID_COLLISION) for flags in batch.flags] == [False, True, True]
    assert batch.dropped == {DropReason.DUPLICATE: 1}
    assert len(set(batch.key)) == 3


def test_other_words_from_another_source_are_a_copy() -> None:
    assert cleaned(purchase(), purchase(source="tag", value_e4=5)).dropped == {DropReason.DUPLICATE: 1}


def test_other_words_of_a_backend_about_an_order_correct_it() -> None:
    batch = cleaned(
        purchase(), purchase(value_e4=5, received_at=NOW + 1), purchase(protocol="segment", properties="")
    )
    assert (batch.event_id, batch.value_e4) == (["order-1"], [199_000])
    assert [(one.event_id, one.value_e4, one.protocol) for one in batch.sightings] == [
        ("order-1", 5, "native"),
        ("order-1", 199_000, "segment"),
    ]
    assert not Flag(batch.flags[0]) & Flag.ID_COLLISION


def test_other_words_of_a_page_about_an_order_are_another_event_as_anybody_may_say_them() -> None:
    page = {"source": "tag", "trust": "public"}
    assert len(cleaned(purchase(**page), purchase(**page, value_e4=5))) == 2


def test_a_collision_that_is_stored_too_is_a_copy() -> None:
    memory = stored(cleaned(refund(), refund(value_e4=5)))
    batch = cleaned(refund(value_e4=5), look_up=lambda keys: list(map(memory.get, keys)))
    assert batch.dropped == {DropReason.DUPLICATE: 1}
    assert batch.sightings[0].event_id.startswith("order-1~")


def test_the_same_id_under_another_name_or_site_is_another_event() -> None:
    assert len(cleaned(page_view(), page_view(name="scroll"), page_view(site="gone"))) == 3
