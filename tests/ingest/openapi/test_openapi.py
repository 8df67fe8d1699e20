"""The OpenAPI document is true: schemathesis drives a real edge with it, and every answer is one that it names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from ingest.openapi.document import build_openapi
from tests.ingest.clickhouse import FakeClickHouse
from tests.ingest.edges import SECRET_KEY, Edge, StartEdge

# schemathesis gives many tests one name: of such, only one would run side by side (tests/conftest.py).
pytestmark = pytest.mark.alone
schema = schemathesis.openapi.from_dict(build_openapi())
# Every boundary of every field, in each of its four forms, would be 1,700 requests: chance finds enough.
events_schema = schemathesis.openapi.from_dict(build_openapi())
events_schema.config.phases.coverage.enabled = False
EXCLUDED = [
    negative_data_rejection,  # a bad event is a result of its own in an answer of 200
    positive_data_acceptance,  # an event that fits the document may still say the impossible
    ignored_auth,  # four requests more for each; test_native.py asks without a key
    not_a_server_error,  # 503 is one; the test asks for it in its own words
]


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Iterator[Edge]:
    with FakeClickHouse() as clickhouse:
        yield start_edge({"FAIRPIXEL_CLICKHOUSE_URL": clickhouse.url})


@schema.exclude(tag="compatible").exclude(path="/v1/events").parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_names(edge: Edge, case: schemathesis.Case) -> None:
    conforms(edge, case)


@events_schema.include(path="/v1/events").parametrize()
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_the_answer_is_one_that_the_document_names(
    edge: Edge, case: schemathesis.Case
) -> None:
    conforms(edge, case)


def conforms(edge: Edge, case: schemathesis.Case) -> None:
    path, headers = case.operation.path, {}
    if path == "/p.gif" and case.query.get("k"):
        case.query["k"] = "demo"
    if path.startswith("/v1"):
        headers["Authorization"] = f"Bearer {SECRET_KEY}"
    if path == "/v1/events/{id}" and case.method == "GET" and len(str(case.path_parameters["id"])) % 2:
        case.path_parameters["id"] = "known"
    response = case.call_and_validate(
        base_url=f"http://127.0.0.1:{edge.port}", headers=headers, excluded_checks=EXCLUDED
    )
    assert response.status_code < 500 or response.status_code == 503


@schema.include(tag="compatible").parametrize()
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_breaks_a_compatible_endpoint(edge: Edge, case: schemathesis.Case) -> None:
    response = case.call(base_url=f"http://127.0.0.1:{edge.port}")
    assert response.status_code < 500 or response.status_code == 503
