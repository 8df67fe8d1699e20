"""The pages of those who run the edge: nobody else sees numbers or reasons."""

from __future__ import annotations

import json

import httpx2
import psutil
import pytest

from tests.ingest.edges import Edge, StartEdge
from tests.processes import free_port


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
