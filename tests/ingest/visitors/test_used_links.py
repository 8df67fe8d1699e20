"""Used links on disk: once for all workers of a data folder, across their restarts, and nobody named in doubt."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from structlog.testing import capture_logs

from ingest.visitors.cookies import Visit, set_cookie
from ingest.visitors.crossdomain import RETRY_MS_MAX, Use
from ingest.visitors.rules import visitor_rules
from ingest.visitors.used_links import TELL_MS_MIN, UsedLinks
from runtime.config import parse_config
from schemas.consent import Purpose
from tests.ingest.edges import IDENTITY_SECRET, Edge, StartEdge, ends
from tests.processes import await_that

NOW_MS = 1_763_800_000_000
TOKEN, OTHER = "ab" * 16, "cd" * 16
USE = Use("12" * 16, NOW_MS)
SHOP, BLOG = "https://shop.example", "https://blog.example"


@pytest.fixture
def links(tmp_path: Path) -> UsedLinks:
    return opened(tmp_path)


def opened(folder: Path, used_max: int = 10) -> UsedLinks:
    """As another worker, or the same one after a restart, opens it."""
    links = UsedLinks(folder / "links", used_max)
    links.forget(NOW_MS)
    return links


def test_one_worker_is_the_first_and_all_know_by_which_page(links: UsedLinks, tmp_path: Path) -> None:
    assert links.find(TOKEN) is None
    assert links.begin(TOKEN, USE)
    for worker in (links, opened(tmp_path)):
        assert not worker.begin(TOKEN, Use("34" * 16, NOW_MS + 1))
        assert worker.find(TOKEN) == USE
    assert opened(tmp_path).begin(OTHER, USE)


def test_of_many_at_the_same_time_exactly_one_is_the_first(tmp_path: Path) -> None:
    workers = [opened(tmp_path, 1_000) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number in range(50):
            begun = list(pool.map(lambda one, token=f"{number:032x}": one.begin(token, USE), workers))
            assert sum(begun) == 1


def test_what_is_old_is_removed_and_what_is_not_ours_stays(links: UsedLinks, tmp_path: Path) -> None:
    links.begin(TOKEN, USE)
    links.begin(OTHER, Use(USE.page, NOW_MS + 1))
    (tmp_path / "links" / "note.txt").write_text("of an operator")
    links.forget(NOW_MS + RETRY_MS_MAX)
    assert links.find(TOKEN) == USE
    links.forget(NOW_MS + RETRY_MS_MAX + 1)
    assert sorted(os.listdir(tmp_path / "links")) == [OTHER, "note.txt"]


def test_a_full_folder_takes_no_use_until_some_are_old(tmp_path: Path) -> None:
    links = opened(tmp_path, used_max=2)
    assert [links.begin(f"{number:032x}", USE) for number in range(3)] == [True, True, False]
    assert not opened(tmp_path, used_max=2).begin(OTHER, USE)
    links.forget(NOW_MS + RETRY_MS_MAX + 1)
    assert links.begin(OTHER, USE)


def test_a_folder_that_cannot_be_written_takes_no_use_and_says_so_once_a_minute(tmp_path: Path) -> None:
    (tmp_path / "links").write_text("a file where the folder should be")
    links = UsedLinks(tmp_path / "links")
    with capture_logs() as lines:
        links.forget(NOW_MS)
        assert not any(links.begin(TOKEN, Use(USE.page, NOW_MS + ms)) for ms in range(100))
        assert links.find(TOKEN) is None
        assert [line["event"] for line in lines] == ["used_links_not_kept"]
        assert not links.begin(TOKEN, Use(USE.page, NOW_MS + TELL_MS_MIN))
    assert len(lines) == 2
    assert all(TOKEN not in str(line) and USE.page not in str(line) for line in lines)
    (tmp_path / "links").unlink()
    links.forget(NOW_MS)
    assert links.begin(TOKEN, USE)


@pytest.mark.parametrize("target", ["", "12", "12.", "12.x", "12.-1"])
def test_a_damaged_use_is_one_by_nobody_known(links: UsedLinks, tmp_path: Path, target: str) -> None:
    if target:
        os.symlink(target, tmp_path / "links" / TOKEN)
    else:
        (tmp_path / "links" / TOKEN).write_text("no link at all")
    assert links.find(TOKEN) is None
    assert not links.begin(TOKEN, USE)
    links.forget(NOW_MS)


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    site = (
        f'[sites.shop]\norigins = ["{BLOG}", "{SHOP}"]\nlinked_domains = ["shop.example", "blog.example"]\n'
    )
    return start_edge({"FAIRPIXEL_INGEST_WORKERS": "2"}, sites=site)


def make_token(edge: Edge, visitor: str) -> str:
    """As a page of the shop asks for it, with the cookie the edge gave that visitor."""
    config, now_s = parse_config((edge.data / "fairpixel.toml").read_text()), int(time.time())
    rules = visitor_rules(config, bytes.fromhex(IDENTITY_SECRET))["shop"]
    visit = Visit(visitor, now_s, now_s, (Purpose.NECESSARY, Purpose.MEASUREMENT))
    cookie = set_cookie("shop", visit, rules.cookie_key, now_s).decode().partition(";")[0]
    headers = {"Origin": SHOP, "Cookie": cookie}
    body = json.dumps({"k": "shop", "to": "blog.example"}).encode()
    token: str = json.loads(edge.request("POST", "/v1/link", body, headers)[1])["token"]
    return token


def arrive(edge: Edge, token: str, page: str) -> None:
    """A page's first beacon, on a connection of its own."""
    event = {"event": "page_view", "properties": {"page": page}}
    payload = {"k": "shop", "page": page, "link": token, "common": {"consent": "all"}, "events": [event]}
    assert edge.request("POST", "/b", json.dumps(payload).encode(), {"Origin": BLOG})[0] == 200


def visitors(edge: Edge, start: list[TopicPartition]) -> dict[str, dict[str, set[str]]]:
    """Page -> visitor -> the workers that named it."""
    found: dict[str, dict[str, set[str]]] = {}
    for pack in edge.packs(start):
        for event in pack.batch.to_events():
            page = json.loads(event.properties)["page"]
            found.setdefault(page, {}).setdefault(event.visitor_id, set()).add(pack.edge)
    return found


def test_two_workers_honour_a_token_once_and_the_page_that_used_it_at_both(edge: Edge) -> None:
    visitor, start, pages = "5e" * 16, ends(edge.bootstrap), 0
    token = make_token(edge, visitor)
    arrive(edge, token, "first")

    def have_both_workers_answered_both() -> bool:
        nonlocal pages
        with ThreadPoolExecutor(8) as pool:  # so that no worker is always the idle one
            list(pool.map(lambda n: arrive(edge, token, f"other-{n}"), range(pages, pages + 20)))
            list(pool.map(lambda _: arrive(edge, token, "first"), range(20)))
        pages += 20
        named = visitors(edge, start)
        at_first = set().union(*named.pop("first").values())
        at_others = {worker for by in named.values() for workers in by.values() for worker in workers}
        return len(at_first) == len(at_others) == 2

    await_that(have_both_workers_answered_both, 60, "both workers saw the first page and others")
    named = visitors(edge, start)
    assert set(named.pop("first")) == {visitor}
    assert len(named) == pages
    assert all(len(by) == 1 and visitor not in by and "" not in by for by in named.values())


def test_a_used_token_stays_used_when_all_workers_were_killed(edge: Edge) -> None:
    visitor = "6f" * 16
    token = make_token(edge, visitor)
    arrive(edge, token, "before")
    edge.kill()
    edge.start()
    start = ends(edge.bootstrap)
    arrive(edge, token, "after")
    arrive(edge, token, "before")
    named = visitors(edge, start)
    assert set(named["before"]) == {visitor}
    assert visitor not in named["after"]
