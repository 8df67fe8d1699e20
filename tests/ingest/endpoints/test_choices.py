"""Choices: kept as proof, told to the cookie, told back; and tokens for who goes to another domain of the site."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ingest.edges import SECRET_KEY, Edge, StartEdge, ends

SHOP, BLOG = "https://shop.example", "https://blog.example"
SITES = f"""
[sites.demo]
[sites.shop]
origins = ["{SHOP}", "{BLOG}"]
linked_domains = ["shop.example", "blog.example"]
[sites.kids]
child_directed = true
"""


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    return start_edge(sites=SITES)


def ask(
    edge: Edge, path: str, content: dict[str, Any], cookie: str = "", **headers: str
) -> tuple[int, Any, str]:
    """(status, answer, Set-Cookie) of a POST from a page of the shop."""
    sent = {"Origin": SHOP, **headers, **({"Cookie": cookie} if cookie else {})}
    status, answer, received = edge.request("POST", path, json.dumps(content).encode(), sent)
    return status, json.loads(answer), received.get("set-cookie", "")


def choose(edge: Edge, consent: object, cookie: str = "", **payload: Any) -> tuple[int, Any, str]:
    return ask(edge, "/v1/consent", {"k": "shop", "consent": consent, **payload}, cookie)


def current(edge: Edge, cookie: str = "", **headers: str) -> Any:
    return json.loads(edge.get("/v1/consent?k=shop", Origin=SHOP, Cookie=cookie, **headers)[1])


def kept(cookie: str) -> str:
    """What a browser sends back."""
    return cookie.split(";")[0]


def test_a_choice_is_kept_as_proof_and_sets_the_cookie(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    status, answer, cookie = choose(
        edge, {"measurement": True, "marketing": False}, id="p-1", text_version="7"
    )
    assert status == 200
    assert answer["proof"] == "p-1"
    assert answer["consent"] == {
        "necessary": True, "measurement": True, "personalisation": False, "marketing": False
    }  # fmt: skip
    (proof,) = edge.events(start)
    assert (proof.event_id, proof.kind, proof.name) == ("p-1", "system", "consent_choice")
    assert json.loads(proof.properties) == {
        "purposes": "measurement", "decided": "choice_grants", "signals": "consent", "text_version": "7"
    }  # fmt: skip
    assert proof.visitor_id == kept(cookie).split("=")[1].split(".")[0] != ""


def test_a_withdrawal_names_whose_it_is_and_ends_the_cookie_in_its_answer(edge: Edge, kafka: str) -> None:
    _, _, cookie = choose(edge, "all")
    start = ends(kafka)
    status, answer, ended = choose(edge, "none", kept(cookie))
    assert (status, answer["consent"]["measurement"]) == (200, False)
    assert ended.startswith("__Host-fp_shop=;")
    assert "Max-Age=0" in ended
    (proof,) = edge.events(start)
    assert proof.visitor_id == kept(cookie).split("=")[1].split(".")[0]
    assert json.loads(proof.properties)["purposes"] == "necessary"


def test_a_refusal_of_somebody_unknown_is_kept_without_making_them_known(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    status, _, cookie = choose(edge, "none")
    assert (status, cookie) == (200, "")
    assert [one.visitor_id for one in edge.events(start)] == [""]


def test_a_choice_whose_answer_was_lost_comes_again_as_the_same(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    for _ in range(2):
        assert choose(edge, "all", id="p-lost", ts=1_763_800_000_000)[0] == 200
    first, again = edge.events(start)
    assert (first.visitor_id, first.properties, first.occurred_at) == (
        again.visitor_id, again.properties, again.occurred_at
    )  # fmt: skip


def test_changing_a_choice_keeps_the_visitor(edge: Edge) -> None:
    _, _, cookie = choose(edge, "measurement")
    _, answer, changed = choose(edge, "all", kept(cookie))
    assert answer["consent"]["marketing"]
    assert kept(changed).split(".")[0] == kept(cookie).split(".")[0]
    assert kept(changed) != kept(cookie)


def test_a_browser_is_told_its_choice(edge: Edge) -> None:
    _, answer, cookie = choose(edge, "measurement,personalisation")
    told = current(edge, kept(cookie))
    assert told["consent"] == answer["consent"]
    assert abs(told["at"] - answer["at"]) < 1_000
    assert current(edge) == {"consent": None, "at": None, "opted_out": False}
    assert current(edge, **{"Sec-GPC": "1"})["opted_out"]


def test_signals_nobody_understands_grant_nothing_and_are_named_in_the_proof(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    status, answer, cookie = choose(edge, "all", gpp="not-a-string-of-the-iab", gpp_sid="7")
    assert (status, cookie) == (200, "")
    assert not answer["consent"]["measurement"]
    (proof,) = edge.events(start)
    assert json.loads(proof.properties)["signals"] == "consent,gpp,gpp_sid"


def test_a_backend_keeps_a_choice_of_a_visitor_it_knows(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    payload = {"consent": {"measurement": False}, "visitor_id": "v-77", "id": "p-77"}
    status, answer, cookie = ask(edge, "/v1/consent", payload, Authorization=f"Bearer {SECRET_KEY}")
    assert (status, answer["proof"], cookie) == (200, "p-77", "")
    (proof,) = edge.events(start)
    assert (proof.site, proof.trust, proof.visitor_id) == ("demo", "secret", "v-77")


def test_a_site_for_children_sets_no_cookie(edge: Edge) -> None:
    status, answer, cookie = ask(edge, "/v1/consent", {"k": "kids", "consent": "all"})
    assert (status, answer["consent"]["measurement"], cookie) == (200, False, "")


def test_a_page_of_another_origin_changes_no_choice(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    content = {"k": "shop", "consent": "all"}
    status, _, cookie = ask(edge, "/v1/consent", content, Origin="https://evil.example")
    assert (status, cookie) == (200, "")
    assert edge.events(start) == []


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ({"k": "shop"}, 400, "missing_field"),
        ({"k": "nobody", "consent": "all"}, 401, "unknown_key"),
        ({"k": "shop", "consent": "all", "id": ["x"]}, 400, "invalid_field"),
        ({"k": "shop", "consent": "all", "text_version": 7}, 400, "invalid_field"),
    ],
)
def test_what_names_no_choice_is_refused_with_a_fix(
    edge: Edge, content: dict[str, Any], status: int, code: str
) -> None:
    answered, answer, cookie = ask(edge, "/v1/consent", content)
    assert (answered, answer["code"], cookie) == (status, code, "")
    assert answer["detail"]


@pytest.mark.parametrize("path", ["/v1/events", "/b", "/p.gif"])
def test_no_other_endpoint_makes_an_event_of_kind_system(edge: Edge, kafka: str, path: str) -> None:
    start = ends(kafka)
    forged = {
        "event": "consent_choice",
        "kind": "system",
        "consent": "all",
        "properties": {"purposes": "all"},
    }
    if path == "/p.gif":
        edge.get("/p.gif?k=shop&e=consent_choice&kind=system&consent=all")
    else:
        ask(edge, path, {"k": "shop", "events": [forged]}, Authorization="Bearer shop")
    assert [one.kind for one in edge.events(start)] == ["custom"]


def link(edge: Edge, cookie: str, to: str = "blog.example", origin: str = SHOP) -> str | None:
    """A token for a link."""
    status, answer, _ = ask(edge, "/v1/link", {"k": "shop", "to": to}, cookie, Origin=origin)
    assert status == 200
    token: str | None = answer["token"]
    return token


def arrive(edge: Edge, token: str | None, page: str, consent: str = "all", origin: str = BLOG) -> str:
    """The cookie after a first beacon on the other domain."""
    event = {"event": "page_view", "id": f"arrival-{page}"}
    content = {"k": "shop", "page": page, "link": token, "common": {"consent": consent}, "events": [event]}
    return kept(ask(edge, "/b", content, Origin=origin)[2]).split(".")[0]


def test_a_visitor_is_followed_over_a_link_once(edge: Edge, kafka: str) -> None:
    cookie = kept(choose(edge, "all")[2])
    token = link(edge, cookie)
    start = ends(kafka)
    assert arrive(edge, token, "page-1") == cookie.split(".")[0]
    assert arrive(edge, token, "page-1") == cookie.split(".")[0]  # its answer was lost
    assert arrive(edge, token, "page-2") not in ("", cookie.split(".")[0])
    followed = [one.visitor_id for one in edge.events(start) if one.event_id == "arrival-page-1"]
    assert [f"__Host-fp_shop={visitor}" for visitor in followed] == [cookie.split(".")[0]] * 2


def test_a_token_that_cannot_be_used_here_is_not_used_up(edge: Edge) -> None:
    cookie = kept(choose(edge, "all")[2])
    token = link(edge, cookie)
    assert arrive(edge, token, "page-3", consent="none") == ""
    assert arrive(edge, token, "page-4", origin=SHOP) not in ("", cookie.split(".")[0])
    assert arrive(edge, token, "page-5") == cookie.split(".")[0]


def test_no_token_without_consent_or_between_other_domains(edge: Edge) -> None:
    cookie = kept(choose(edge, "all")[2])
    assert link(edge, cookie)
    assert link(edge, "") is None
    assert link(edge, kept(choose(edge, "marketing")[2])) is None
    assert link(edge, cookie, to="evil.example") is None
    assert link(edge, cookie, origin="https://evil.example") is None
