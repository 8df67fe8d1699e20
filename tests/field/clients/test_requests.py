"""Requests as clients send them, read from clients.jsonl: a case is a line with its source, requests and answers."""

from __future__ import annotations

import gzip
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.clickhouse.blocks import BLOCK_BYTES, read_blocks
from tests.embedded.clickhouse.conftest import Answer, Server

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "clients.jsonl").read_text("utf-8").splitlines()
]


def send(server: Server, asked: dict[str, Any]) -> Answer:
    """A request as a client without a password sends it."""
    return server._send(
        urllib.request.Request(
            server.url + asked["path"], data=asked["query"].encode(), headers=asked.get("headers", {})
        )
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_client_is_answered_as_it_expects(server: Server, case: dict[str, Any]) -> None:
    assert case["source"]
    assert len(case["requests"]) == len(case["expected"])
    for asked, expected in zip(case["requests"], case["expected"], strict=True):
        answer = send(server, asked)
        told = f"{asked['path']} {asked['query']}: {answer.body[:300]!r}"
        assert answer.status == expected["status"], told
        assert answer.headers.get("X-ClickHouse-Exception-Code") == expected.get("code"), told
        for name, value in expected.get("headers", {}).items():
            assert answer.headers.get(name) == value, told
        check_body(answer, expected, told)


def check_body(answer: Answer, expected: dict[str, Any], told: str) -> None:
    """`body` and `blocks` are the whole of it, `holds` a part, `lines_most` how many rows there may be."""
    body = gzip.decompress(answer.body) if answer.headers.get("Content-Encoding") == "gzip" else answer.body
    if "blocks" in expected or "blocks_end" in expected:
        plain = b"".join(read_blocks(iter((body,)), BLOCK_BYTES))
        assert plain.endswith(expected.get("blocks_end", "").encode()), told
        assert expected.get("blocks", "").encode() in (b"", plain), told
    if "body" in expected:
        assert body == expected["body"].encode(), told
    if "holds" in expected:
        assert expected["holds"].encode() in body, told
    if "lines_most" in expected:
        assert 0 < body.count(b"\n") <= expected["lines_most"], told
