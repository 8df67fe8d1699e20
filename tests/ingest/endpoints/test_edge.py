"""A real edge and a real broker: what a client sees, and what stands in the topic afterwards."""

import gzip
import json
import os
import random
import signal
import sys
import threading
import time
from html import unescape
from pathlib import Path

import pytest

from schemas.event import Flag
from schemas.identity import partition_of
from tests.ingest.edges import SECRET_KEY, Edge, ends
from tests.processes import await_that, free_port


def test_a_pixel_is_in_the_topic_when_it_is_answered(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    status, body, headers = edge.get(
        "/p.gif?k=demo&id=p1&consent=all&a=v",
        **{"Sec-GPC": "1", "User-Agent": "Test", "Referer": "https://a.example/"},
    )
    (event,) = edge.events(start)
    assert (status, len(body), headers["content-type"]) == (200, 43, "image/gif")
    assert "no-store" in headers["cache-control"]
    assert (event.event_id, event.source, event.ip, event.user_agent, event.url) == (
        "p1",
        "pixel",
        "127.0.0.1",
        "Test",
        "https://a.example/",
    )
    assert event.flags == Flag.GPC
    assert abs(event.received_at - time.time() * 1000) < 10_000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/p.gif", 401),
        ("/p.gif?k=nobody", 401),
        ("/p.gif?k=demo&v=NaN", 400),
        ("/p.gif?k=demo&p.canvas=1", 400),
        ("/p.gif?k=demo&p.x=" + "y" * 17_000, 413),
        ("/p.gif/?k=demo", 200),
        (f"/p.gif?k={SECRET_KEY}", 200),
        ("/p.gif?writeKey=demo", 200),
    ],
)
def test_the_pixel_always_answers_with_the_gif(edge: Edge, path: str, status: int) -> None:
    found, body, headers = edge.get(path)
    assert (found, len(body)) == (status, 43)
    assert status == 200 or headers["x-fairpixel-code"]


def test_head_and_options_make_no_event(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    status, body, headers = edge.request("HEAD", "/p.gif?k=demo")
    assert (status, body, headers["content-type"]) == (200, b"", "image/gif")
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Headers": "authorization,x-odd"}
    for path in ("/p.gif", "/v1/events", "/v1/events/"):
        status, body, headers = edge.request("OPTIONS", path, headers=asked)
        assert (status, body, headers["access-control-allow-headers"]) == (204, b"", "authorization,x-odd")
        assert headers["access-control-allow-origin"] == "https://shop.example"
    assert edge.request("POST", "/p.gif?k=demo")[0] == 405
    assert edge.request("GET", "/v1/events")[0] == 405
    assert edge.events(start) == []


def test_a_page_of_an_undeclared_origin_is_told_nothing_and_counted(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    status, _, headers = edge.get("/p.gif?k=shop", Origin="https://evil.example")
    assert status == 200
    assert "access-control-allow-origin" not in headers
    assert edge.post({"event": "x"}, key="shop", Origin="https://evil.example")[0] == 200
    packs = list(edge.packs(start))
    assert [event for pack in packs for event in pack.batch.to_events()] == []
    assert sum(one.count for pack in packs for one in pack.refusals if one.reason == "origin_refused") == 2
    status, _, headers = edge.get("/p.gif?k=shop", Origin="https://shop.example")
    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert len(edge.events(start)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/v1/events", {"k": "shop", "event": "x"}, 200),  # who sends stands in the body
        ("POST", "/v1/events", {"k": "nobody", "event": "x"}, 401),
        ("POST", "/v1/events?k=nobody", {"event": "x"}, 401),
        ("GET", "/p.gif?k=nobody", None, 401),
    ],
)
def test_a_declared_page_can_read_the_answer_wherever_its_key_stands_and_whatever_is_wrong_with_it(
    edge: Edge, method: str, path: str, body: object, expected: int
) -> None:
    content = json.dumps(body).encode() if body else b""
    status, _, headers = edge.request(method, path, content, {"Origin": "https://shop.example"})
    assert (status, headers.get("access-control-allow-origin")) == (expected, "https://shop.example")
    assert "Retry-After" in headers["access-control-expose-headers"]


def test_collectors_of_others_and_crawlers_find_the_pages_they_ask_for(edge: Edge) -> None:
    assert edge.get("/health")[:2] == (200, b"ok")
    assert edge.get("/sink-health")[0] == 200
    assert edge.get("/robots.txt")[1] == b"User-agent: *\nDisallow: /\n"


def test_a_visitor_can_read_what_a_site_keeps_and_anybody_that_gpc_is_obeyed(edge: Edge) -> None:
    status, body, headers = edge.request(
        "GET", "/privacy.json?k=demo", b"", {"Origin": "https://elsewhere.example"}
    )
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
    notice = json.loads(body)
    assert notice["site"] == "demo"
    status, page, headers = edge.request("GET", "/privacy.html?k=demo")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert notice["if_you_say_nothing"] in unescape(page.decode())
    status, gpc, _ = edge.request("GET", "/.well-known/gpc.json")
    assert (status, json.loads(gpc)["gpc"]) == (200, True)


def test_a_notice_of_nobody_says_whose_may_be_asked_for(edge: Edge) -> None:
    for path in ("/privacy.json?k=nobody", "/privacy.html", "/privacy.json"):
        status, body, _ = edge.request("GET", path)
        assert (status, json.loads(body)["code"]) == (404, "unknown_key")


def test_each_event_of_a_batch_has_its_own_answer(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    status, answer = edge.post(
        {"events": [{"event": "a", "id": "1"}, {"event": "b", "ts": []}, {"event": "c", "id": "3", "odd": 1}]}
    )
    assert status == 200
    first, second, third = answer["results"]
    assert first == {"id": "1", "status": "accepted"}
    assert (second["index"], second["status"], second["code"]) == (1, "rejected", "invalid_field")
    assert second["detail"].startswith("ts: ")
    assert (third["status"], third["detail"]) == ("accepted", "unknown keys ignored: odd")
    assert {event.event_id for event in edge.events(start)} == {"1", "3"}


@pytest.mark.parametrize(
    ("headers", "trust"),
    [
        ({"Authorization": f"Bearer {SECRET_KEY}"}, "secret"),
        ({"Authorization": "Bearer demo"}, "public"),
        ({"Authorization": "Basic ZGVtbzo="}, "public"),
        ({"Authorization": "Basic OmRlbW8="}, "public"),
        ({"X-Write-Key": "demo"}, "public"),
    ],
)
def test_a_key_may_come_in_several_ways(edge: Edge, headers: dict[str, str], trust: str) -> None:
    start = ends(edge.bootstrap)
    body = gzip.compress(b'{"event":"a","context":{"ip":"198.51.100.4"}}')
    assert edge.request("POST", "/v1/events/", body, headers)[0] == 200
    (event,) = edge.events(start)
    assert (event.trust, event.ip) == (trust, "198.51.100.4" if trust == "secret" else "127.0.0.1")
    assert edge.request("POST", "/v1/events?k=demo", b'{"event":"a"}')[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "unreadable_body"),
        (b"\x1f\x8b\x08broken", {}, 400, "unreadable_body"),
        (b"x" * 5_000_001, {}, 413, "body_too_large"),
        (gzip.compress(bytes(20_000_000)), {}, 413, "body_too_large"),
        (b"{}", {"Authorization": "Bearer nobody"}, 401, "unknown_key"),
        (b"{}", {"Authorization": "Basic !!"}, 401, "unknown_key"),
        (b"x", {"Content-Encoding": "br"}, 400, "unknown_encoding"),
        (b"[" + b"{}," * 5_001 + b"{}]", {}, 413, "body_too_large"),
    ],
)
def test_a_body_that_cannot_be_taken_gets_a_clear_answer(
    edge: Edge, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    found, answer, _ = edge.request("POST", "/v1/events", body, {"Authorization": "Bearer demo", **headers})
    decoded = json.loads(answer)
    assert (found, decoded["code"]) == (status, code)
    assert decoded["message"]
    assert decoded["detail"]


def test_backdated_events_of_a_backend_keep_their_time(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    assert (
        edge.post(
            {"event": "purchase", "ts": 1_700_000_000_000, "value": 9.5, "currency": "EUR"}, key=SECRET_KEY
        )[0]
        == 200
    )
    (event,) = edge.events(start)
    assert (event.occurred_at, event.kind, event.value_e4, event.trust) == (
        1_700_000_000_000,
        "purchase",
        95_000,
        "secret",
    )


def test_refusals_reach_the_topic_and_the_metrics(edge: Edge) -> None:
    edge.get("/p.gif?k=demo")  # its pack takes along whatever other tests left to be counted
    start = ends(edge.bootstrap)
    for _ in range(3):
        edge.get("/p.gif?k=demo&v=NaN")

    def counted() -> int:
        return sum(
            one.count for pack in edge.packs(start) for one in pack.refusals if one.reason == "invalid"
        )

    await_that(lambda: counted() == 3, 8, "three refusals are counted in the topic")
    text = edge.get("/metrics")[1].decode()
    assert 'fairpixel_ingest_hits_total{endpoint="pixel",status="400"}' in text
    assert 'fairpixel_ingest_packs_total{way="kafka"}' in text
    assert edge.metric("fairpixel_ingest_spool_packs") == 0


def test_a_new_key_and_a_new_site_are_taken_while_it_runs(edge: Edge) -> None:
    edge.add_key()
    config = edge.data / "fairpixel.toml"
    config.write_text(config.read_text() + "[sites.late]\n")
    await_that(lambda: edge.get("/p.gif?k=late")[0] == 200, 8, "the new site is known")
    config.write_text("[broken")
    time.sleep(2.5)
    assert edge.get("/p.gif?k=late")[0] == 200
    assert "config_refused" in (edge.folder / "edge.log").read_text()


def test_nothing_of_a_person_is_in_the_log(edge: Edge) -> None:
    edge.get(
        "/p.gif?k=demo&a=visitor-4711&u=user-4711&url=https://private.example/",
        **{"User-Agent": "Agent-4711"},
    )
    edge.post(b'{"event": "x", "visitor_id": "visitor-4711", "ts": "4711-odd"', key="demo")
    text = (edge.folder / "edge.log").read_text()
    for word in ("4711", "private.example", SECRET_KEY):
        assert word not in text


class Load:
    """Four senders; remembers what was acknowledged."""

    def __init__(self, edge: Edge, seed: int) -> None:
        self._edge, self._random = edge, random.Random(seed)
        self._stopping = threading.Event()
        self.acknowledged: set[str] = set()
        self.failures = 0
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(4)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _send(self, number: int) -> None:
        count = 0
        while not self._stopping.is_set():
            ids = [f"{number}-{count}-{i}" for i in range(5)]
            count += 1
            try:
                if self._random.random() < 0.5:
                    ids = ids[:1]
                    kept = self._edge.get(f"/p.gif?k=demo&id={ids[0]}")[0] == 200
                else:
                    kept = (
                        self._edge.post({"events": [{"event": "page_view", "id": one} for one in ids]})[0]
                        == 200
                    )
            except OSError:
                kept = False
                time.sleep(0.02)
            if kept:
                self.acknowledged.update(ids)
            else:
                self.failures += 1


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_under_load_loses_nothing_that_was_acknowledged(kafka: str, tmp_path: Path, seed: int) -> None:
    edge, start = Edge(tmp_path, kafka), ends(kafka)
    delay = random.Random(seed)
    with edge, Load(edge, seed) as load:
        for _ in range(3):
            time.sleep(delay.uniform(0.3, 0.8))
            edge.kill()
            edge.start()
        await_that(lambda: len(load.acknowledged) > 500, 20, "enough is acknowledged")
        edge.kill()
    found = {event.event_id for event in edge.events(start)} | {event.event_id for event in edge.spooled()}
    assert load.failures
    assert load.acknowledged - found == set()


def test_a_killed_worker_comes_back_and_loses_nothing(kafka: str, tmp_path: Path) -> None:
    edge, start = Edge(tmp_path, kafka), ends(kafka)
    with edge, Load(edge, 3) as load:
        await_that(lambda: len(load.acknowledged) > 50, 20, "traffic flows")
        (worker,) = edge.workers()
        os.kill(worker, signal.SIGKILL)
        before = len(load.acknowledged)
        await_that(lambda: len(load.acknowledged) > before + 100, 20, "traffic flows again")
    assert (
        load.acknowledged
        - {event.event_id for event in edge.events(start)}
        - {event.event_id for event in edge.spooled()}
        == set()
    )


def test_an_edge_whose_watcher_is_killed_makes_room_for_the_next(kafka: str, tmp_path: Path) -> None:
    edge = Edge(tmp_path, kafka)
    with edge:
        assert edge.process is not None
        (worker,) = edge.workers()
        os.kill(edge.process.pid, signal.SIGKILL)
        edge.process.wait()
        await_that(lambda: not Path(f"/proc/{worker}").exists(), 10, "the worker ends too")
        edge.start()
        assert edge.get("/p.gif?k=demo")[0] == 200


def test_stopping_under_load_answers_only_for_what_is_kept(kafka: str, tmp_path: Path) -> None:
    edge, start = Edge(tmp_path, kafka), ends(kafka)
    with edge, Load(edge, 4) as load:
        await_that(lambda: len(load.acknowledged) > 200, 20, "traffic flows")
        edge.stop()
    assert (
        load.acknowledged
        - {event.event_id for event in edge.events(start)}
        - {event.event_id for event in edge.spooled()}
        == set()
    )


def test_without_kafka_the_spool_answers_and_a_successor_drains_it(kafka: str, tmp_path: Path) -> None:
    edge, start = Edge(tmp_path, f"127.0.0.1:{free_port()}"), ends(kafka)
    with edge, Load(edge, 5) as load:
        await_that(lambda: len(load.acknowledged) > 300, 30, "the spool answers")
        assert edge.metric("fairpixel_ingest_spool_packs") > 0
        assert not load.failures
        edge.kill()
    edge.bootstrap = kafka
    with edge:
        await_that(lambda: edge.metric("fairpixel_ingest_spool_packs") == 0, 20, "the spool is empty")
        assert edge.get("/p.gif?k=demo&id=after")[0] == 200
        found = {event.event_id for event in edge.events(start)}
    assert load.acknowledged | {"after"} <= found
    assert not list((edge.data / "ingest" / "spool").glob("*/*.seg"))


def test_a_full_spool_says_so_and_still_shows_the_gif(tmp_path: Path) -> None:
    edge = Edge(
        tmp_path,
        f"127.0.0.1:{free_port()}",
        env={"FAIRPIXEL_INGEST_SPOOL_BYTES_MAX": "20000", "FAIRPIXEL_INGEST_KAFKA_WAIT_MS_MAX": "100"},
    )
    with edge:
        await_that(
            lambda: edge.get("/p.gif?k=demo&p.x=" + os.urandom(2000).hex())[0] == 503, 20, "the spool is full"
        )
        status, body, headers = edge.get("/p.gif?k=demo")
        assert (status, len(body)) == (503, 43)
        assert int(headers["retry-after"]) > 0
        status, answer = edge.post({"event": "x"})
        assert (status, answer["code"]) == (503, "unavailable")
        assert edge.get("/readyz")[0] == 503
        assert edge.get("/healthz")[0] == 200


def cores_of(edge: Edge) -> list[set[str]]:
    """Of each process of an edge, the cores its threads may use."""
    return [
        {
            line.split()[1]
            for task in Path(f"/proc/{pid}/task").iterdir()
            for line in _status(task)
            if line.startswith("Cpus_allowed_list")
        }
        for pid in edge.workers()
    ]


def _status(task: Path) -> list[str]:
    try:
        return (task / "status").read_text().splitlines()
    except OSError:  # a thread that ended meanwhile
        return []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps threads on a core")
def test_each_worker_keeps_to_a_core_of_its_own_unless_told_otherwise(kafka: str, tmp_path: Path) -> None:
    single = [{str(core)} for core in os.sched_getaffinity(0)]
    with Edge(tmp_path / "own", kafka, {"FAIRPIXEL_INGEST_WORKERS": "2"}) as edge:
        await_that(
            lambda: len({*map(tuple, cores_of(edge))} & {*map(tuple, single)}) == min(2, len(single)),
            10,
            "each worker is on a core of its own",
        )
    with Edge(tmp_path / "any", kafka, {"FAIRPIXEL_INGEST_CORE": "any"}) as edge:
        assert edge.get("/p.gif?k=demo")[0] == 200
        own = Path("/proc/self/status").read_text().split("Cpus_allowed_list:")[1].split()[0]
        assert {cores for process in cores_of(edge) for cores in process} == {own}


def test_events_go_by_the_partitions_that_the_topics_are_about_to_have(kafka: str, tmp_path: Path) -> None:
    ids = [f"grown-{number}" for number in range(40)]
    start = ends(kafka)
    assert len(start) == 2
    with Edge(tmp_path, kafka, {"FAIRPIXEL_KAFKA_PARTITIONS": "4"}) as edge:
        status, _ = edge.post({"events": [{"event": "a", "id": name} for name in ids]})
        assert status == 200
        edge.stop()
        kept = edge.spooled() + edge.events(start)
    found = {event.event_id for event in kept}
    assert found == set(ids)
    # By the old number there would be no pack that Kafka cannot take.
    assert {partition_of("demo", "a", name, 4) for name in ids} == {0, 1, 2, 3}
    assert {event.event_id for event in edge.events(start)} <= {
        name for name in ids if partition_of("demo", "a", name, 4) < 2
    }
