"""The life of an alert: opened once, updated sparingly, resolved once, one for each incident."""

from dataclasses import replace

import pytest

from sinks.alerts.delivery.message import body_of, title_of
from sinks.alerts.loop import untold
from sinks.alerts.memory import Memory, decode_memory, encode_memory
from sinks.alerts.rules import (
    MINUTE,
    OPEN_ALERTS_MAX,
    SETTLED_MINUTES,
    UPDATE_EVERY_MINUTES,
    AlertState,
    Direction,
    Finding,
    Kind,
    Reading,
    Severity,
    State,
    Transition,
    advance,
)
from tests.sinks.alerts.findings import NOON, fall, opened


def rise(minute: int = NOON, subject: str = "") -> Finding:
    return replace(
        fall(minute, subject, Kind.SPIKE),
        direction=Direction.UP,
        observed=900.0,
        expected=300.0,
        low=250.0,
        high=350.0,
    )


def bad(observed: float = 24.0) -> Reading:
    return Reading(False, observed > 0, observed, 60.0, 42.0, 81.0)


GOOD = Reading(True, True, 61.0, 60.0, 42.0, 81.0)
KEY = fall().key


def live(
    alert_state: AlertState, minutes: int, reading: Reading | None, *findings: Finding
) -> tuple[AlertState, list[Transition]]:
    """Judge so many minutes, all alike."""
    told = []
    for _ in range(minutes):
        alert_state, some = advance(
            alert_state,
            alert_state.judged + MINUTE,
            findings,
            dict.fromkeys(alert_state.open, reading),
            ["demo"],
        )
        told += some
    return alert_state, told


def test_an_incident_is_opened_once_updated_and_resolved_once() -> None:
    alert_state, first = opened()
    alert_state, then = live(alert_state, 10, bad(), fall())
    alert_state, end = live(alert_state, 30, GOOD)
    assert [(one.state, one.sequence) for one in first + then + end] == [(State.OPEN, 1), (State.RESOLVED, 2)]
    assert alert_state.open == {}


def test_an_open_alert_speaks_up_each_quarter_of_an_hour_then_each_hour() -> None:
    alert_state, _ = opened()
    alert_state, told = live(alert_state, 120, bad())
    assert [one.state for one in told] == [State.UPDATE] * (120 // UPDATE_EVERY_MINUTES)
    _, later = live(alert_state, 180, bad())
    assert len(later) == 3


def test_one_good_minute_does_not_resolve() -> None:
    alert_state, _ = opened()
    alert_state, _ = live(alert_state, 1, GOOD)
    alert_state, _ = live(alert_state, 1, bad())
    alert_state, told = live(alert_state, 1, GOOD)
    assert told == []
    assert KEY in alert_state.open


def test_missing_data_never_resolves_and_a_gap_starts_the_count_again() -> None:
    alert_state, _ = opened()
    alert_state, told = live(alert_state, 600, None)
    assert told == []
    alert_state, _ = live(alert_state, 1, GOOD)
    alert_state, _ = live(alert_state, 1, None)
    alert_state, told = live(alert_state, 1, GOOD)
    assert told == []


def test_silence_never_settles_but_a_new_level_does() -> None:
    alert_state, _ = opened()
    silent, _ = live(alert_state, SETTLED_MINUTES + 100, bad(0.0))
    assert KEY in silent.open
    changed, told = live(alert_state, SETTLED_MINUTES + 5, bad())
    assert changed.open == {}
    assert told[-1].detail.startswith("settled")
    assert changed.spoilt(("demo", "purchase")) == [], "the new level may be learnt from"
    assert "normal from now on" in title_of(told[-1])


def test_no_baseline_learns_from_an_incident() -> None:
    alert_state, _ = opened()
    alert_state, _ = live(alert_state, 5, bad())
    assert alert_state.spoilt(("demo", "purchase")) == [(NOON, NOON + 6 * MINUTE)]
    alert_state, told = live(alert_state, 2, GOOD)
    assert [one.state for one in told] == [State.RESOLVED]
    assert alert_state.spoilt(("demo", "purchase")) == [(NOON, NOON + 8 * MINUTE)], "also after it is over"
    alert_state, _ = live(alert_state, 400, None)
    assert alert_state.past == (), "and not for ever"


def test_a_silent_site_is_one_alert() -> None:
    names = [fall(subject=name, kind=Kind.SILENCE) for name in ("page_view", "purchase", "cart")]
    alert_state, told = opened(fall(subject="", kind=Kind.SILENCE), *names)
    assert [one.subject for one in told] == [""]
    _, more = live(alert_state, 5, bad(0.0), *names)
    assert more == []


def test_a_spike_of_the_site_speaks_for_its_names_and_their_rates() -> None:
    _, told = opened(rise(), rise(subject="page_view"), fall())
    assert [(one.subject, one.kind) for one in told] == [("", Kind.SPIKE)]


def test_a_fallen_site_does_not_hide_a_fallen_rate() -> None:
    _, told = opened(fall(subject="", kind=Kind.DROP), fall(subject="cart", kind=Kind.DROP), fall())
    assert [(one.subject, one.kind) for one in told] == [("", Kind.DROP), ("purchase", Kind.CONVERSION_DROP)]


def test_sites_do_not_speak_for_each_other() -> None:
    _, told = opened(fall(subject="", kind=Kind.SILENCE), fall(site="other", kind=Kind.SILENCE))
    assert len(told) == 2


def test_rate_and_count_of_one_name_are_one_incident() -> None:
    alert_state, _ = opened()
    _, told = live(alert_state, 3, bad(), fall(kind=Kind.DROP))
    assert told == []


def test_a_fall_that_becomes_a_silence_is_told_as_worse_under_the_same_key() -> None:
    mild = replace(fall(kind=Kind.DROP), observed=35.0)
    alert_state, first = opened(mild)
    alert_state, told = live(alert_state, 3, bad(0.0))
    assert [(one.kind, one.severity, one.sequence) for one in told] == [(Kind.SILENCE, Severity.CRITICAL, 2)]
    assert first[0].severity is Severity.WARNING
    assert told[0].key == first[0].key


def test_a_resolved_incident_may_happen_again_under_another_id() -> None:
    alert_state, first = opened()
    alert_state, _ = live(alert_state, 2, GOOD)
    _, again = advance(alert_state, alert_state.judged + MINUTE, [fall(alert_state.judged + MINUTE)], {}, [])
    assert [one.state for one in again] == [State.OPEN]
    assert again[0].key == first[0].key
    assert again[0].alert_id != first[0].alert_id


def test_it_is_not_opened_again_in_the_minute_that_resolves_it() -> None:
    alert_state, _ = opened()
    alert_state, _ = live(alert_state, 1, GOOD)
    _, told = live(alert_state, 1, GOOD, fall(alert_state.judged + MINUTE))
    assert [one.state for one in told] == [State.RESOLVED]


def test_the_number_of_open_alerts_is_bounded() -> None:
    alert_state, told = opened(*(fall(site=f"site{number}") for number in range(OPEN_ALERTS_MAX + 10)))
    assert len(alert_state.open) == len(told) == OPEN_ALERTS_MAX


def test_a_site_is_alive_only_after_it_was_judged_with_hits() -> None:
    alert_state = AlertState(NOON)
    assert not alert_state.is_alive("demo")
    alert_state, _ = advance(alert_state, NOON + MINUTE, [], {}, ["demo"])
    assert alert_state.is_alive("demo")
    for _ in range(400):
        alert_state, _ = advance(alert_state, alert_state.judged + MINUTE, [], {}, [])
    assert not alert_state.is_alive("demo")


def test_the_same_minute_gives_the_same_decisions() -> None:
    assert opened() == opened()


def test_the_memory_survives_being_written_and_read() -> None:
    alert_state, told = opened(fall(), fall(site="other", subject="ünï\"code'", kind=Kind.DROP))
    alert_state, more = live(alert_state, 2, GOOD)
    memory = Memory(AlertState(NOON)).decided(alert_state, told + more, ("webhook-1",), set())
    assert decode_memory(encode_memory(memory), memory.version) == memory


@pytest.mark.parametrize(
    ("finding", "title"),
    [
        (fall(), "Purchase on demo fell to 24 a minute; 60 were expected (42-81), traffic is steady"),
        (fall(kind=Kind.DROP), "Purchase on demo fell to 24 a minute; 60 were expected (42-81)"),
        (fall(subject="", kind=Kind.SILENCE), "All traffic on demo went silent; 60 a minute were expected"),
        (rise(), "All traffic on demo rose to 900 a minute; 300 were expected (250-350)"),
        (
            fall(subject="paid\nresolved: https://evil.example/<b>*now*</b>", kind=Kind.DROP),
            "Paid resolved: https: evil.example b now b on demo fell to 24 a minute; 60 were expected (42-81)",
        ),
        (
            fall(subject="\u202e/" + "x" * 5_000, kind=Kind.DROP),
            f"{'X' + 'x' * 77} on demo fell to 24 a minute; 60 were expected (42-81)",
        ),
        (
            fall(subject="$pageview (v2)", kind=Kind.DROP),
            "$pageview (v2) on demo fell to 24 a minute; 60 were expected (42-81)",
        ),
    ],
)
def test_the_title_is_a_plain_sentence(finding: Finding, title: str) -> None:
    assert title_of(opened(finding)[1][0]) == title


def test_the_body_keeps_its_fields() -> None:
    body = body_of(opened()[1][0], "http://127.0.0.1:8123")
    assert list(body) == [
        "version", "dedup_key", "alert_id", "sequence", "state", "severity", "kind", "site", "subject", "direction",
        "title", "observed", "expected", "interval", "window_minutes", "started_at", "minute", "detail", "link",
    ]  # fmt: skip
    assert body["version"] == 1
    assert body["minute"] == "2027-01-15T08:00:00Z"


def test_after_downtime_people_hear_only_how_things_stand() -> None:
    alert_state, told = opened(fall(), fall(site="other"))
    over = [one for one in told if one.site == "demo"]
    alert_state, more = live(replace(alert_state, open={KEY: alert_state.open[KEY]}), 2, GOOD)
    quiet = untold(told + more)
    assert quiet == {over[0].transition_id, more[0].transition_id}, (
        "what came and went woke nobody, the other one does"
    )
