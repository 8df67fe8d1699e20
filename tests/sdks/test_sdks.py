"""Each official SDK, changed in host and key only, against the real platform: what it says it sent stands once."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

import pytest

from ingest.protocols.resent import MOMENT_MS
from tests.platform import Platform
from tests.sdks.clients import CLIENTS, Client
from tests.sdks.conftest import COUNT, Round

EACH_CLIENT = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


@pytest.mark.timeout(400)
@EACH_CLIENT
def test_delivers_200_of_200(client: Client, good_network: Round) -> None:
    check_each_event_stands_once(client, good_network)


@pytest.mark.timeout(400)
@EACH_CLIENT
def test_each_event_is_stored_once_with_lost_answers_resets_503_and_429(
    client: Client, bad_network: Round
) -> None:
    check_each_event_stands_once(client, bad_network)
    network = bad_network.outcomes[client.name].network
    assert network["lost"] > 0, "no answer of this client was lost: nothing was tried"


@pytest.mark.timeout(400)
def test_the_bad_network_lost_every_fifth_answer_and_used_every_fault(bad_network: Round) -> None:
    all_requests = sum((outcome.network for outcome in bad_network.outcomes.values()), Counter())
    assert all_requests["lost"] > all_requests.total() / 5
    assert min(all_requests[fault] for fault in ("reset", "unavailable", "limited")) > 10


@pytest.mark.timeout(400)
def test_afterwards_the_ledger_names_nothing_but_duplicates(good_network: Round, bad_network: Round) -> None:
    platform: Platform = bad_network.platform
    (books,) = platform.query(
        "SELECT sum(accepted) accepted, sum(kept) kept, sumMap(dropped) dropped, sum(dead) dead, sum(refused) refused, "
        "sum(abs(difference)) difference FROM fairpixel.ledger WHERE site LIKE '%-good' OR site LIKE '%-bad'"
    )
    assert set(books["dropped"]) <= {"duplicate"}
    assert (books["dead"], books["refused"], books["difference"]) == (0, 0, 0)
    late = sum(late_repeats(client, round_) for client in CLIENTS for round_ in (good_network, bad_network))
    assert 0 <= books["kept"] - 2 * COUNT * len(CLIENTS) <= late
    refused = platform.query(
        "SELECT site, reason, sum(count) c FROM fairpixel.refusals GROUP BY site, reason"
    )
    assert refused == []


def check_each_event_stands_once(client: Client, round_: Round) -> None:
    """What the SDK says it sent are `COUNT` different things, and each is one row of its site."""
    outcome = round_.outcomes[client.name]
    assert len(set(outcome.said)) == COUNT, outcome.problem
    column = "path" if client.by_path else "event_id"
    rows = round_.platform.query(
        f"SELECT {column} id, count() c FROM fairpixel.events WHERE site = '{client.site(round_.name)}' GROUP BY id"
    )
    stored = Counter({row["id"]: row["c"] for row in rows})
    said = Counter(urlsplit(one).path for one in outcome.said) if client.by_path else Counter(outcome.said)
    missing, too_many = said - stored, stored - said
    assert not missing, f"{dict(outcome.network)} {outcome.problem}"
    assert too_many.total() <= late_repeats(client, round_), f"{dict(outcome.network)} {outcome.problem}"


def late_repeats(client: Client, round_: Round) -> int:
    """How many may count as events of their own: a client without ids sent them again after their moment."""
    repeats = round_.outcomes[client.name].repeats if client.by_path else []
    return sum(seconds * 1000 > MOMENT_MS for seconds in repeats)
