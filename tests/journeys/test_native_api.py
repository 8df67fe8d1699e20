"""A backend developer sends an event and asks what became of it, with nothing but the key and HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any

from tests.platform import Platform, await_that


def ask(platform: Platform, event_id: str, key: str) -> tuple[int, dict[str, Any]]:
    """(status, answer) of `GET /v1/events/{id}`."""
    request = urllib.request.Request(
        f"{platform.edge}/v1/events/{urllib.parse.quote(event_id, safe='')}",
        headers={"Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def known(platform: Platform, event_id: str) -> dict[str, Any]:
    """The answer, as soon as something is known."""

    def look() -> dict[str, Any] | None:
        status, answer = ask(platform, event_id, platform.secret_key)
        return answer if status == 200 else None

    return await_that(look, f"{event_id.split(' ')[0]} is traced", 30, every=0.3)  # type: ignore[no-any-return]


def reasons(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["stage"], one["decision"], one.get("reason", "")) for one in answer["decisions"]]


def test_a_backend_hears_what_every_stage_decided_about_its_event(platform: Platform) -> None:
    stem = uuid.uuid4().hex
    stored, refused, odd = f"{stem}-stored", f"{stem}-refused", f'{stem}/o\'dd\\ "id" ünd {{x}}'
    person = f"{stem}@mail.example"  # stored as its keyed hash, and found all the same
    events = [
        {"event": "signup", "id": event_id, "consent": "none" if event_id == refused else "all"}
        for event_id in (stored, refused, odd, person)
    ]
    sent = platform.post("/v1/events", {"events": events}, platform.secret_key)
    assert [one["id"] for one in sent["results"]] == [stored, refused, odd, person]
    way = [("edge", "accepted", ""), ("streams", "stored", ""), ("loader", "loaded", "")]
    for event_id in (stored, odd, person):
        assert reasons(known(platform, event_id)) == way
    assert reasons(known(platform, refused)) == [
        ("edge", "accepted", ""),
        ("streams", "dropped", "no_consent"),
        ("loader", "counted", "no_consent"),
    ]
    status, error = ask(platform, stored, platform.site_secret_key("steady"))
    assert (status, error["code"]) == (404, "unknown_event")  # another site's key sees nothing of it
    assert ask(platform, stored, "demo")[0] == 401


def test_a_copy_is_named_as_one(platform: Platform) -> None:
    event_id = uuid.uuid4().hex
    event = {"event": "purchase", "id": event_id, "value": 5, "currency": "EUR", "consent": "all"}
    platform.post("/v1/events", event)
    known(platform, event_id)
    platform.post("/v1/events", event, platform.secret_key)
    found = await_that(
        lambda: (answer := known(platform, event_id))["decisions"][-1]["stage"] == "copies" and answer,
        "the copy is seen",
        30,
        every=0.3,
    )
    assert found["decisions"][-1]["text"].endswith("from server (secret)")
