"""One order, told by three systems a shop may have at the same time, is one row and three sightings."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request

import pytest

from tests.sdks.conftest import AGENT, Bench

ORDER = "order-42"


@pytest.mark.timeout(300)
def test_a_purchase_told_by_segment_on_a_server_a_matomo_pixel_and_the_tag_is_one_row(bench: Bench) -> None:
    platform = bench.platform
    tell_by_segment(bench)
    tell_by_matomo(platform.edge)
    tell_by_the_tag(platform.edge)
    platform.settle()
    which = f"site = 'shop' AND name = 'purchase' AND event_id = '{ORDER}'"
    rows = platform.query(
        f"SELECT source, protocol, toString(value) v, currency FROM fairpixel.events WHERE {which}"
    )
    later = platform.query(f"SELECT source, protocol FROM fairpixel.sightings WHERE {which}")
    assert rows == [{"source": "server", "protocol": "segment", "v": "19.9", "currency": "EUR"}]
    assert sorted((one["source"], one["protocol"]) for one in later) == [
        ("pixel", "matomo"),
        ("tag", "native"),
    ]
    (order,) = platform.query(
        f"SELECT sightings, toString(value) v FROM fairpixel.purchases WHERE order_id = '{ORDER}'"
    )
    assert order == {"sightings": 3, "v": "19.9"}


def tell_by_segment(bench: Bench) -> None:
    script = bench.folder / "purchase_py.py"
    subprocess.run([bench.python, script, bench.platform.edge, "shop", ORDER], check=True, timeout=60)


def tell_by_matomo(edge: str) -> None:
    said = {
        "idsite": "71", "rec": "1", "idgoal": "0", "ec_id": ORDER, "revenue": "19.90", "_id": "0123456789abcdef",
        "url": "https://shop.example/thanks", "action_name": "Thanks", "rand": "1234",
    }  # fmt: skip
    url = f"{edge}/matomo.php?{urllib.parse.urlencode(said)}"
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"User-Agent": AGENT}), timeout=10
    ) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/gif")


def tell_by_the_tag(edge: str) -> None:
    event = {"event": "purchase", "id": ORDER, "value": 19.90, "currency": "EUR", "consent": "all"}
    body = {
        "k": "shop",
        "page": "page-1",
        "common": {"url": "https://shop.example/thanks"},
        "events": [event],
    }
    request = urllib.request.Request(
        f"{edge}/b", json.dumps(body).encode(), {"User-Agent": AGENT, "Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
