"""Against the edge: visitors chosen by somebody else, its operators' pages, heads and bodies made to hold it up."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import stat
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import orjson
import psutil
import pytest
from structlog.testing import capture_logs

from deploy.supervisor.client import Supervisor
from deploy.supervisor.run_folder import RunFolder
from ingest.reading import heavy
from ingest.reading.body import inflate, load
from ingest.reading.fields import Unacceptable
from ingest.reading.heavy import Heavy
from ingest.serving import connection, connections
from ingest.serving.arrival import Arrivals, read_body
from ingest.visitors.crossdomain import Use
from ingest.visitors.used_links import UsedLinks
from runtime.errors import UserError
from tests.attacks.bodies import EMPTY, PUBLIC, Hostile, hostile_requests, many
from tests.attacks.endpoints import Endpoints
from tests.ingest.builders import run
from tests.ingest.edges import Edge, StartEdge, ends
from tests.ingest.stage import PIXEL, Stage
from tests.processes import free_port

SHOP, BLOG = "https://shop.example", "https://blog.example"
CHOSEN = "66" * 16  # the visitor somebody else would have a person be
SITES = """
[sites.demo]
[sites.shop]
origins = ["https://shop.example", "https://blog.example"]
linked_domains = ["shop.example", "blog.example"]
[sites.other]
linked_domains = ["shop.example", "blog.example"]
"""


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    return start_edge(sites=SITES)


def ask(
    edge: Edge, path: str, content: dict[str, Any], cookie: str = "", origin: str = SHOP
) -> tuple[Any, str]:
    """(the answer, the cookie it sets)."""
    headers = {"Origin": origin} | ({"Cookie": cookie} if cookie else {})
    status, answer, sent = edge.request("POST", path, json.dumps(content).encode(), headers)
    assert status == 200, answer
    return json.loads(answer), sent.get("set-cookie", "").partition(";")[0]


def beacon(edge: Edge, page: str, cookie: str = "", origin: str = SHOP, **said: Any) -> str:
    """The cookie after a page view with consent."""
    event = {"event": "page_view", "id": f"view-{page}"}
    content = {"k": "shop", "page": page, "common": {"consent": "all"}, "events": [event], **said}
    return ask(edge, "/b", content, cookie, origin)[1]


def token(edge: Edge, cookie: str, origin: str = SHOP, to: str = "blog.example", key: str = "shop") -> Any:
    return ask(edge, "/v1/link", {"k": key, "to": to}, cookie, origin)[0]["token"]


def visitor_of(cookie: str) -> str:
    return cookie.partition("=")[2].partition(".")[0]


def invented(site: str = "shop", age_s: int = 0) -> str:
    """A cookie of the form that was not signed."""
    since = f"{int(time.time()) - age_s:x}"
    return f"fp_{site}={CHOSEN}.{since}.{since}.nmpa"


def forgeries(real: str) -> dict[str, str]:
    """Cookies whose signature is none, or not of what they say."""
    said, _, signature = real.partition("=")[2].rpartition(".")
    rest = said.partition(".")[2]
    own = hmac.digest(b"", f"shop\0{CHOSEN}.{rest}".encode(), "sha256")[:16]
    return {
        "another visitor": f"__Host-fp_shop={CHOSEN}.{rest}.{signature}",
        "another purpose": f"__Host-fp_shop={said}a.{signature}",
        "another time": f"__Host-fp_shop={said.replace('.', '.1', 1)}.{signature}",
        "another site": f"__Host-fp_other={said}.{signature}",
        "a signature of zeros": f"__Host-fp_shop={CHOSEN}.{rest}.{'A' * 22}",
        "a key of nothing": f"__Host-fp_shop={CHOSEN}.{rest}.{base64.urlsafe_b64encode(own).rstrip(b'=').decode()}",
        "half a signature": f"__Host-fp_shop={CHOSEN}.{rest}.{signature[:11]}",
        "no signature": f"__Host-fp_shop={CHOSEN}.{rest}.",
    }


def test_an_invented_cookie_and_origin_make_no_link(edge: Edge) -> None:
    assert token(edge, invented()) is None
    assert token(edge, invented(age_s=300 * 86_400)) is None
    assert token(edge, f"{invented()}; {invented(age_s=86_400)}") is None


def test_a_cookie_with_a_wrong_signature_makes_no_link_and_names_nobody(edge: Edge, kafka: str) -> None:
    real = beacon(edge, "real")
    start = ends(kafka)
    for what, cookie in forgeries(real).items():
        assert token(edge, cookie, key="other" if cookie.startswith("__Host-fp_other") else "shop") is None, (
            what
        )
        assert visitor_of(beacon(edge, f"forged {what}", cookie)) not in ("", CHOSEN, visitor_of(real)), what
    assert CHOSEN not in {event.visitor_id for event in edge.events(start)}


def test_an_unsigned_cookie_of_the_version_before_names_its_visitor_and_is_never_signed(
    edge: Edge, kafka: str
) -> None:
    start, cookie = ends(kafka), invented(age_s=100)
    assert beacon(edge, "old", cookie) == ""
    changed = beacon(edge, "old, another choice", cookie, common={"consent": "measurement"})
    assert (visitor_of(changed), changed.count(".")) == (CHOSEN, 3)
    again = ask(edge, "/v1/consent", {"k": "shop", "consent": "all", "id": "p-old"}, changed)[1]
    assert (visitor_of(again), again.count(".")) == (CHOSEN, 3)
    for one in (cookie, changed, again):
        assert token(edge, one) is None
    assert {event.visitor_id for event in edge.events(start)} == {CHOSEN}


def test_a_signed_cookie_counts_before_an_invented_one_of_a_neighbour_host(edge: Edge, kafka: str) -> None:
    real = beacon(edge, "mine")
    start = ends(kafka)
    assert beacon(edge, "tossed", f"{invented()}; fp_shop=x; {real}") == ""
    assert [event.visitor_id for event in edge.events(start)] == [visitor_of(real)]


def test_a_neighbour_host_gives_nobody_the_signed_cookie_that_it_was_given(edge: Edge, kafka: str) -> None:
    """A host beside ours sets cookies for all of the domain, under any path and as many as it likes, but none that is
    called __Host-."""
    theirs, real = beacon(edge, "neighbour"), beacon(edge, "person beside it")
    assert real.startswith("__Host-")
    tossed = theirs.removeprefix("__Host-")
    start = ends(kafka)
    for number, cookies in enumerate((f"{tossed}; {real}", "; ".join([invented()] * 9 + [tossed, real]))):
        assert beacon(edge, f"tossed signed {number}", cookies) == ""
    assert {event.visitor_id for event in edge.events(start)} == {visitor_of(real)}
    assert visitor_of(beacon(edge, "tossed alone", tossed)) not in ("", visitor_of(theirs))


def test_a_link_to_the_pixel_neither_ends_a_cookie_nor_speaks_for_its_visitor(edge: Edge, kafka: str) -> None:
    """Browsers send a Lax cookie along when a link of another site is followed."""
    cookie = beacon(edge, "follows links")
    start = ends(kafka)
    for dest, is_ended in (("image", True), ("document", False)):
        headers = {"Cookie": cookie, "Sec-Fetch-Dest": dest}
        _, _, sent = edge.request("GET", "/p.gif?k=shop&consent=none", b"", headers)
        assert ("set-cookie" in sent) == is_ended
        edge.request("GET", f"/p.gif?k=shop&e=bought&id={dest}&consent=all", b"", headers)
    visitors = {event.event_id: event.visitor_id for event in edge.events(start)}
    assert (visitors["image"], visitors["document"]) == (visitor_of(cookie), "")


@pytest.mark.parametrize("at", ["/b", "/v1/consent"])
@pytest.mark.parametrize("cookie", ["signed", "unsigned"])
def test_a_link_never_replaces_a_cookie(edge: Edge, at: str, cookie: str) -> None:
    attacker, name = beacon(edge, f"attacker {at} {cookie}"), f"person {at} {cookie}"
    person = beacon(edge, name) if cookie == "signed" else invented(age_s=100)
    link = token(edge, attacker)
    assert link
    content: dict[str, Any] = {"k": "shop", "page": f"landed {name}", "link": link}
    if at == "/b":
        content |= {"common": {"consent": "measurement"}, "events": [{"event": "page_view", "id": name}]}
    else:
        content |= {"consent": "measurement", "id": name}
    kept = ask(edge, at, content, person, BLOG)[1]
    assert visitor_of(kept) == visitor_of(person)  # set again, as the choice is another
    assert visitor_of(beacon(edge, f"next {name}", kept, BLOG, link=link)) in ("", visitor_of(person))


def test_a_link_that_named_nobody_is_used_up(edge: Edge) -> None:
    attacker, person = beacon(edge, "attacker of one"), beacon(edge, "person of one")
    link = token(edge, attacker)
    beacon(edge, "first page", person, BLOG, link=link)
    newcomer = beacon(edge, "second page", origin=BLOG, link=link)
    assert visitor_of(newcomer) not in ("", visitor_of(attacker))


def test_who_comes_over_a_link_and_chooses_there_is_the_visitor_of_the_link(edge: Edge) -> None:
    before = beacon(edge, "comes from")
    link = token(edge, before)
    said = {"k": "shop", "consent": "all", "id": "p-there", "page": "dialog", "link": link}
    chosen = ask(edge, "/v1/consent", said, origin=BLOG)[1]
    assert visitor_of(chosen) == visitor_of(before)
    assert beacon(edge, "dialog", chosen, BLOG, link=link) == ""


def test_a_link_is_made_between_two_domains_of_the_site_for_its_pages_alone(edge: Edge) -> None:
    cookie = beacon(edge, "between")
    assert token(edge, cookie)
    for origin in ("", "null", "https://evil.example", "https://[", "\xe4", "https://shop.example:99999"):
        assert token(edge, cookie, origin) is None, origin
    assert token(edge, cookie, to="shop.example") is None  # where it is already
    assert token(edge, cookie, key="other") is None


# --- pages of those who run it


@pytest.fixture(scope="module")
def with_own_port(start_edge: StartEdge) -> tuple[Edge, int]:
    port = free_port()
    env = {"FAIRPIXEL_EDGE_HOST": "0.0.0.0", "FAIRPIXEL_INGEST_METRICS_LISTEN": f"0.0.0.0:{port}"}
    return start_edge(env), port


PAGES = ("/metrics", "/metrics/", "/readyz", "/sink-health", "/healthz", "/health")


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "x-forwarded-HOST", "X-Forwarded-Proto"]
)
def test_what_a_proxy_passes_on_sees_no_numbers_and_no_reasons(edge: Edge, header: str) -> None:
    for path in PAGES:
        status, body, _ = edge.get(path, **{header: "127.0.0.1"})
        assert (b"fairpixel_" in body, b"consumer_lag" in body, b"reasons" in body) == (
            False,
            False,
            False,
        ), path
        assert status == (403 if "metrics" in path else 200), path
    assert b"fairpixel_ingest" in edge.get("/metrics")[1]
    assert json.loads(edge.get("/readyz")[1])["consumer_lag"] >= 0


def test_another_machine_sees_no_numbers_but_at_the_port_of_their_own(
    with_own_port: tuple[Edge, int],
) -> None:
    edge, own = with_own_port
    bare = {"status": "ready"}
    with httpx2.Client(transport=httpx2.HTTPTransport(local_address=_own_address())) as elsewhere:
        here = f"http://127.0.0.1:{edge.port}"
        assert elsewhere.get(f"{here}/metrics").status_code == 403
        assert elsewhere.get(f"{here}/readyz").json() == elsewhere.get(f"{here}/sink-health").json() == bare
        assert elsewhere.get(f"{here}/healthz").json() == {"status": "ok"}
        assert "fairpixel_ingest" in elsewhere.get(f"http://127.0.0.1:{own}/metrics").text
        assert "consumer_lag" in elsewhere.get(f"http://127.0.0.1:{own}/readyz").json()


def _own_address() -> str:
    """An address of this machine that is not loopback: seen from the loopback address it is another's."""
    found = [one.address for of in psutil.net_if_addrs().values() for one in of if one.family == 2]
    other = [address for address in found if not address.startswith("127.")]
    if not other:
        pytest.skip("this machine has no address but loopback")
    return other[0]


# --- bodies made to hold up whoever reads them

REQUESTS = hostile_requests()
HELD_S_MAX = 0.1  # of the loop's own CPU in one call; 20 ms where nobody else uses the machine


@pytest.mark.parametrize("name", REQUESTS)
def test_no_request_holds_the_loop(name: str) -> None:
    async def journey() -> None:
        status, _, held_s = await Endpoints(network_rate_max=0).ask(*REQUESTS[name])
        assert status < 500
        assert held_s < HELD_S_MAX

    run(journey)


@pytest.mark.parametrize("name", ["empty members", "empty frames", "empty blocks"])
def test_a_long_compressed_body_is_inflated_beside_the_loop(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def watched(*args: Any) -> bytes:
        threads.append(threading.get_ident())
        return inflate(*args)

    monkeypatch.setattr(heavy, "inflate", watched)

    async def journey() -> None:
        await Endpoints(network_rate_max=0).ask(*REQUESTS[name])

    run(journey)
    assert threads
    assert threading.get_ident() not in threads


def test_a_bomb_of_values_is_known_before_it_is_parsed() -> None:
    took = {}
    for how, read in (("ours", load), ("as it stands", orjson.loads)):
        before = time.thread_time()
        with suppress(Unacceptable):
            read(EMPTY)
        took[how] = time.thread_time() - before
    assert took["ours"] < took["as it stands"] / 5
    with pytest.raises(Unacceptable):
        load(EMPTY)
    assert len(load(many(b"[1]", 190_000))) == 190_000


def test_a_network_pays_for_what_its_bodies_become() -> None:
    async def journey() -> None:
        for name in ("empty events", "a bomb inside", "a CloudEvent of zeros", "what all events share"):
            # So low that a busy machine does not give the rate back while a body is read.
            endpoints, event = Endpoints(network_rate_max=50), Hostile("/v1/events", b'{"event":"a"}', PUBLIC)
            assert (await endpoints.ask(*event))[0] == 200
            assert len(REQUESTS[name].body) < 50_000
            for _ in range(3):
                await endpoints.ask(*REQUESTS[name])
            assert (await endpoints.ask(*event))[0] == 429, name
            assert (await endpoints.ask(*event, client="198.51.100.1"))[0] == 200, name

    run(journey)


def test_large_bodies_are_read_one_at_a_time_and_only_so_many_wait() -> None:
    async def journey() -> None:
        endpoints = Endpoints(network_rate_max=0)
        endpoints.intake.heavy = Heavy(held_bytes_max=25_000_000)
        large, small = REQUESTS["empty events"], Hostile("/v1/events", b'{"event":"a"}', PUBLIC)
        answers = await asyncio.gather(*(endpoints.ask(*large) for _ in range(6)), endpoints.ask(*small))
        statuses = Counter(status for status, _, _ in answers[:6])
        assert statuses == {413: 2, 503: 4}
        assert answers[6][0] == 200
        assert (await endpoints.ask(*large))[0] == 413  # and their bytes are free again

    run(journey)


def test_large_bodies_of_one_network_keep_those_of_others_neither_out_nor_waiting() -> None:
    async def journey() -> None:
        one, order, gate = Heavy(held_bytes_max=50), list[str](), asyncio.Event()

        async def read(network: str) -> None:
            await one.begin(10, network)
            order.append(network)
            await gate.wait()
            one.end(10, network)

        crowd = [asyncio.create_task(read("crowd")) for _ in range(7)]
        await asyncio.sleep(0)
        others = [asyncio.create_task(read(name)) for name in ("a", "b", "gone")]
        await asyncio.sleep(0)
        others.pop().cancel()
        gate.set()
        failed = [one for one in await asyncio.gather(*crowd, *others, return_exceptions=True) if one]
        assert [type(one) for one in failed] == [Unacceptable] * 2
        assert order == ["crowd", "crowd", "a", "b", "crowd", "crowd", "crowd"]
        await read("a")  # nothing is held any more

    run(journey)


def test_bodies_of_one_network_that_never_end_leave_room_for_those_of_others() -> None:
    async def journey() -> None:
        arrivals, gate = Arrivals(held_bytes_max=50), asyncio.Event()

        def arriving(*pieces: int) -> Callable[[], Awaitable[dict[str, Any]]]:
            left = [bytes(size) for size in pieces]

            async def receive() -> dict[str, Any]:
                if len(left) == 1:
                    await gate.wait()
                return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

            return receive

        crowd = [asyncio.create_task(read_body(arriving(9, 1), arrivals, "203.0.113")) for _ in range(8)]
        await asyncio.sleep(0)
        other = asyncio.create_task(read_body(arriving(40, 1), arrivals, "198.51.100"))
        await asyncio.sleep(0)
        gate.set()
        found = await asyncio.gather(*crowd, return_exceptions=True)
        assert [isinstance(one, Unacceptable) for one in found] == [False] * 5 + [True] * 3
        assert len(await other) == 41
        assert (arrivals.held_bytes, arrivals.of_networks) == (0, {})

    run(journey)


# --- heads that say two things, and heads that are kept waiting

EVENT = b'{"event":"a"}'
CHUNKED = b"d\r\n%s\r\n0\r\n\r\n" % EVENT
AMBIGUOUS = {  # header lines, body -> what the refusal names
    "two lengths": ((b"Content-Length: 13", b"Content-Length: 14"), EVENT, "Content-Length"),
    "one length twice": ((b"Content-Length: 13", b"content-length: 13"), EVENT, "Content-Length"),
    "a list of lengths": ((b"Content-Length: 13, 13",), EVENT, "Content-Length"),
    "a signed length": ((b"Content-Length: +13",), EVENT, "Content-Length"),
    "an endless length": ((b"Content-Length: 99999999999999999999999",), EVENT, "Content-Length"),
    "length and chunks": ((b"Content-Length: 13", b"Transfer-Encoding: chunked"), CHUNKED, "Content-Length"),
    "chunks and length": ((b"Transfer-Encoding: chunked", b"Content-Length: 13"), CHUNKED, "Content-Length"),
    "two codings": ((b"Transfer-Encoding: chunked",) * 2, CHUNKED, "Transfer-Encoding"),
    "a further coding": ((b"Transfer-Encoding: gzip, chunked",), CHUNKED, "Transfer-Encoding"),
    "another coding": ((b"Transfer-Encoding: xchunked",), CHUNKED, "Transfer-Encoding"),
    "no chunk size": ((b"Transfer-Encoding: chunked",), b"zz\r\n" + CHUNKED, "chunk size"),
    "an endless chunk": ((b"Transfer-Encoding: chunked",), b"f" * 20 + b"\r\n", "hunk size"),
    "two hosts": ((b"Host: y", b"Content-Length: 13"), EVENT, "Host"),
    "one host twice": ((b"HOST: x", b"Content-Length: 13"), EVENT, "Host"),
}


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_head_that_says_two_things_is_refused_by_the_header_it_says_them_in(
    name: str, fast_path: bool
) -> None:
    headers, body, named = AMBIGUOUS[name]
    lines = b"".join(line + b"\r\n" for line in (b"Host: x", *headers))

    async def journey() -> None:
        for first in (b"POST /v1/events?k=demo", b"GET /p.gif?k=demo"):
            stage = Stage(fast_path=fast_path)
            stage.connection.data_received(first + b" HTTP/1.1\r\n" + lines + b"\r\n" + body)
            (answer,) = await stage.answers(1)
            assert answer.startswith(b"HTTP/1.1 400 "), first
            assert named in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
            assert stage.wire.is_closing()
            assert stage.rows == []

    run(journey)


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Basic \xff\xfe=",
        b"Authorization: Basic",
        b"Authorization: \xe4 \xf6",
        b"Authorization: Bearer \x80",
        b"Authorization:",
        b"X-Write-Key: \xff",
        b"Origin: http://[bad",
        b"Origin: \xff\xfe",
        b"Origin: https://x:99999999",
        b"Cookie: fp_demo=\xff\xfe; \x80=; =;;",
        b"Cookie: fp_demo",
        b"X-Fairpixel-Signature: t=\xb2,v1=\xff",
        b"Content-Encoding: \xff",
        b"Content-Type: \xff",
    ],
)
def test_no_header_that_cannot_be_read_goes_unanswered(header: bytes, fast_path: bool) -> None:
    post = b"POST /v1/events?k=demo HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 13\r\n\r\n" % header + EVENT
    hit = b"GET /p.gif?k=demo&consent=all HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % header

    async def journey() -> None:
        for request in (post, hit):
            stage = Stage(fast_path=fast_path)
            stage.connection.data_received(request)
            (answer,) = await stage.answers(1)
            assert answer[9:12] in (b"200", b"400", b"401")
            assert not stage.wire.is_closing()

    run(journey)


def test_one_network_leaves_connections_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SURPLUS_MAX", 1)

    async def journey() -> None:
        stage = Stage()
        stage.shared._network_max = 3
        theirs = [stage.connect() for _ in range(4)]  # the stage has one already
        theirs[2][1].data_received(PIXEL % b"a")
        async with asyncio.timeout(5):
            while not theirs[2][0].written:
                await asyncio.sleep(0.001)
        assert theirs[2][0].written.startswith(b"HTTP/1.1 503 ")
        assert [wire.is_closing() for wire, _ in theirs] == [False, False, True, True]
        wire, one = stage.connect("198.51.100.1")
        one.data_received(PIXEL % b"b")
        async with asyncio.timeout(5):
            while not wire.written:
                stage.packer.flush()
                stage.sent.settle_all()
                await asyncio.sleep(0.001)
        assert wire.written.startswith(b"HTTP/1.1 200 ")
        for _, gone in theirs:
            gone.connection_lost(None)
        assert not stage.connect()[0].is_closing()

    run(journey)


def test_heads_that_never_end_and_hits_that_wait_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HELD_BYTES_MAX", 100_000)

    async def journey() -> None:
        stage = Stage()
        half = b"GET /p.gif?k=demo HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 60_000
        (first, one), (second, other) = stage.connect(), stage.connect()
        one.data_received(half)
        other.data_received(half)
        assert (first.written, second.written[:13]) == (b"", b"HTTP/1.1 503 ")
        assert b"retry-after" in second.written.lower()
        one.connection_lost(None)
        other.connection_lost(None)
        assert stage.shared.held_bytes == 0
        stage.connection.data_received(PIXEL % b"a")
        stage.connection.data_received(PIXEL % b"b" * 5_000)  # while the first waits for its answer
        assert stage.shared.held_bytes == 0
        assert len(await stage.answers(1)) == 1
        assert stage.wire.is_closing()

    run(journey)


# --- folders that somebody else made before


@pytest.mark.parametrize("made", ["link", "file", "open", "link to nowhere"])
def test_a_socket_folder_that_was_made_by_somebody_else_is_refused(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    folder = RunFolder.of(tmp_path / ("long" * 20))
    where = folder.socket.parent
    assert where.parent == shared
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    match made:
        case "link":
            where.symlink_to(private)
        case "link to nowhere":
            where.symlink_to(tmp_path / "nowhere")
        case "file":
            where.write_text("")
        case "open":
            where.mkdir()
            where.chmod(0o777)
    with pytest.raises(UserError, match="not private"):
        folder.create()
    with pytest.raises(UserError, match="not private"):
        Supervisor(folder.socket).processes()
    assert list(private.iterdir()) == []
    where.rmdir() if made == "open" else where.unlink()
    folder.create()
    assert stat.S_IMODE(where.lstat().st_mode) == 0o700


def test_used_links_are_not_kept_where_a_link_leads(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "links").symlink_to(elsewhere)
    with capture_logs() as lines:
        links = UsedLinks(tmp_path / "links")
        links.forget(10**12)
        assert not links.begin("ab" * 16, Use("cd" * 16, 10**12))
    assert [line["event"] for line in lines] == ["used_links_not_kept"]
    assert list(elsewhere.iterdir()) == []
