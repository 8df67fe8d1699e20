"""The documents say what the code does: every address, every code, and forms that their readers accept."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastavro import parse_schema

from ingest.app import Edge
from ingest.endpoints.intake import Intake
from ingest.endpoints.routes import ROUTES
from ingest.mail.webhooks import webhook_routes
from ingest.openapi.asyncapi import build_asyncapi
from ingest.openapi.document import build_openapi
from ingest.openapi.html import docs_page
from ingest.reading.codes import CODE_MEANING
from ingest.reloadable import ReloadableConfiguration
from ingest.settings import EdgeSettings
from runtime.settings import PlatformSettings
from schemas.topics import all_topics
from tests.ingest.builders import Sent, packer
from tests.processes import REPO

ERRORS = {"Rejection", "Unacceptable"}


def codes_in(package: Path) -> Iterator[tuple[str, str]]:
    """(code, file) of each rejection that is written in the source."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    yield str(first.value), path.name


def test_every_code_is_explained_and_none_is_invented() -> None:
    found = dict(codes_in(REPO / "ingest"))
    assert {code: name for code, name in found.items() if code not in CODE_MEANING} == {}
    assert set(CODE_MEANING) - set(found) == set()


@pytest.fixture
def served(tmp_path: Path) -> set[str]:
    """Every address that an edge answers, without trailing slashes, parameters as OpenAPI writes them."""
    (tmp_path / "fairpixel.toml").write_text("[sites.demo]\n")
    (tmp_path / "secrets.toml").write_text(f'identity_secret = "{"ab" * 32}"\n')
    settings = PlatformSettings(data=tmp_path, keys=tmp_path)

    async def build() -> set[str]:
        edge = Edge(settings, EdgeSettings(), ReloadableConfiguration(settings, {}))
        intake = Intake(edge._reloadable, packer(Sent()), edge._counts, EdgeSettings(), str)
        exact = set(edge._build_endpoints(intake))
        return exact | {getattr(route, "path", "") for route in edge._pages.router.routes}

    return {plain(path) for path in asyncio.run(build())}


def plain(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path).rstrip("/") or "/"


# As collectors of others have them; nobody builds a client on these.
UNDOCUMENTED = {"/health", "/sink-health", "/robots.txt"}


def test_every_address_stands_in_the_document_and_no_other(served: set[str]) -> None:
    documented = set(build_openapi()["paths"])
    bare = {plain(route.path) for route in ROUTES if route.bare}  # named in the text of the prefixed ones
    bare |= {plain(f"/{route.protocol}{route.path}") for route in webhook_routes(dict)}
    assert documented - served == set()
    assert served - documented - bare == UNDOCUMENTED


def test_the_openapi_document_is_one(served: set[str]) -> None:
    document = build_openapi()
    schemathesis.openapi.from_dict(document).validate()
    for reference in references(document):
        assert resolve(document, reference) is not None
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_the_asyncapi_document_names_every_topic_and_every_reference_leads_somewhere() -> None:
    document = build_asyncapi()
    assert {"asyncapi", "info", "channels", "operations", "components"} <= set(document)
    assert set(document["channels"]) == {topic.name for topic in all_topics()}
    for reference in references(document):
        assert resolve(document, reference) is not None
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
    for message in document["components"]["messages"].values():
        if "schemaFormat" in message["payload"]:
            parse_schema(message["payload"]["schema"])
    sent = {one["channel"]["$ref"] for one in document["operations"].values() if one["action"] == "send"}
    received = {
        one["channel"]["$ref"] for one in document["operations"].values() if one["action"] == "receive"
    }
    assert received <= sent


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from references(one)


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for name in reference[2:].split("/"):
        document = document[name.replace("~1", "/").replace("~0", "~")]
    return document


def test_the_page_has_a_place_for_each_link_into_it() -> None:
    page = docs_page(build_openapi())
    places = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= places


def test_what_a_description_says_cannot_become_markup() -> None:
    document = build_openapi()
    document["info"]["description"] = "<script>alert(1)</script> `<b>` [Event]"
    page = docs_page(document)
    assert "<script" not in page
    assert "<b>" not in page
    assert '<a href="#Event">Event</a>' in page
