"""One platform for all cases of requests and messages: everything is sent, then waited for once, then looked up."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.topics import DIRECT
from tests.field.cases import Case, Outcome, fill, read_cases
from tests.field.log_cases import CASES
from tests.ingest.mail.sendgrid import PRIVATE_KEY, PUBLIC_KEY
from tests.platform import Platform, await_that

SITES = f"""
[sites.demo]
public_keys = ["demo", "7", "shop.example"]
sendgrid_public_key = "{PUBLIC_KEY}"
"""
# A site for each case of a log, so that its rows are its own.
SITES += "".join(
    f'[sites.log-{number}]\ndefault_consent = "granted"\nserver_consent = "granted"\n'
    for number in range(len(CASES))
)
MAILCHIMP_SECRET = "a-long-secret-of-the-field"
TIMESTAMP, SIGNATURE = "X-Twilio-Email-Event-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature"
# Of a row, beside its columns: how long before its receipt it happened.
COLUMNS = "*, toUnixTimestamp64Milli(received_at) - toUnixTimestamp64Milli(occurred_at) AS age_ms"


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """With a site that has all keys and secrets; one proxy is believed, so that a case may say whose address it is."""
    one = Platform(tmp_path_factory.mktemp("field"), {"FAIRPIXEL_TRUSTED_PROXIES": "1"})
    one.up()
    try:
        (one.data / "fairpixel.toml").write_text(SITES)
        secrets = (one.data / "secrets.toml").read_text()
        assert "[sites.demo]\n" in secrets
        more = f'[sites.demo]\nmailchimp_secret = "{MAILCHIMP_SECRET}"\n'
        (one.data / "secrets.toml").write_text(secrets.replace("[sites.demo]\n", more))
        await_that(lambda: one.get(f"{one.edge}/p.gif?k=7&e=taken"), "the edge has taken the sites", 20)
        mailchimp = {
            "method": "POST",
            "path": "/v1/mail/mailchimp?k=demo&secret={{MAILCHIMP_SECRET}}",
        }
        await_that(
            lambda: send(one, mailchimp)["status"] == 200, "every worker has taken the secrets", 20, every=0.5
        )
        yield one
    finally:
        one.down()


@pytest.fixture(scope="package")
def outcomes(platform: Platform) -> dict[str, Outcome]:
    """What became of every case, by its id."""
    cases = list(read_cases())
    made = {case.id: Outcome() for case in cases}
    for case in cases:
        for request in case.input.get("requests", []):
            now = time.time()  # a repeat says the same, byte for byte
            answers = [send(platform, request, now) for _ in range(request.get("times", 1))]
            made[case.id].answers.append(answers[-1])
    write(platform, cases, made)
    platform.settle()
    look_up(platform, cases, made)
    return made


def secrets_of(platform: Platform) -> dict[str, str]:
    """What placeholders may name."""
    return {"SECRET": platform.secret_key, "MAILCHIMP_SECRET": MAILCHIMP_SECRET}


def send(platform: Platform, request: dict[str, Any], now: float | None = None) -> dict[str, Any]:
    """One request on its own connection, its header lines as they stand: {status, text, json, headers}."""
    now, secrets = now or time.time(), secrets_of(platform)
    given = request.get("headers", {})
    pairs = [
        (name, fill(value, secrets, now))
        for name, value in (given.items() if isinstance(given, dict) else given)
    ]
    if "body_b64" in request:
        body = base64.b64decode(request["body_b64"])
    elif "json" in request:
        body = fill(json.dumps(request["json"], ensure_ascii=False), secrets, now).encode()
    else:
        body = fill(request.get("body", ""), secrets, now).encode()
    if "sign" in request:  # what SendGrid would have signed; another body is sent by `body`
        said = dict(pairs)[TIMESTAMP].encode() + (fill(request["sign"] or "", secrets, now).encode() or body)
        pairs.append((SIGNATURE, base64.b64encode(PRIVATE_KEY.sign(said, ec.ECDSA(SHA256()))).decode()))
    connection = http.client.HTTPConnection("127.0.0.1", int(platform.env["FAIRPIXEL_EDGE_PORT"]), timeout=15)
    try:
        connection.putrequest(
            request["method"], fill(request["path"], secrets, now), skip_accept_encoding=True
        )
        for name, value in pairs:
            connection.putheader(name, value.encode("utf-8"))
        if request["method"] != "GET" and request["method"] != "HEAD":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    found: dict[str, Any] = {"status": answer.status, "headers": headers}
    if headers.get("content-type", "").startswith("application/json"):
        return {**found, "json": json.loads(content)}
    return {**found, "text": content.decode("latin-1")}


def write(platform: Platform, cases: list[Case], made: dict[str, Outcome]) -> None:
    """Every message of every case, and behind them one on each partition that tells that all before it are read."""
    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{platform.env['FAIRPIXEL_KAFKA_PORT']}",
            "message.max.bytes": 10_000_000,
        }
    )
    secrets = secrets_of(platform)
    places: dict[tuple[int, int], dict[str, Any]] = {}
    for case in cases:
        for message in case.input.get("messages", []):
            one: dict[str, Any] = {"dead": None}
            made[case.id].messages.append(one)

            def told(error: KafkaError | None, sent: Message, one: dict[str, Any] = one) -> None:
                one["delivered"] = error is None
                one["error"] = error.name() if error is not None else ""
                if error is None:
                    places[sent.partition(), sent.offset()] = one

            value = message["value"]
            text = value if isinstance(value, str) or value is None else json.dumps(value)
            content = None if text is None else fill(text, secrets).encode()
            key = message.get("key")
            try:
                producer.produce(DIRECT, content, key, partition=0, on_delivery=told)
            except KafkaException as error:
                one |= {"delivered": False, "error": error.args[0].name()}
    assert producer.flush(30) == 0
    last = f"field-{time.time_ns()}"
    producer.produce(DIRECT, json.dumps({"site": "demo", "event": "last", "id": last}).encode(), partition=0)
    assert producer.flush(30) == 0
    there = f"SELECT count() AS n FROM fairpixel.events WHERE event_id = '{last}'"
    await_that(lambda: platform.count(there), "the last message is a row", 60)
    for dead in platform.dead_letters():
        if dead.topic == DIRECT and (dead.origin.partition, dead.origin.offset) in places:
            places[dead.origin.partition, dead.origin.offset]["dead"] = str(dead.reason)


def look_up(platform: Platform, cases: list[Case], made: dict[str, Outcome]) -> None:
    """Rows and drops of every case."""
    ids = {event_id: case.id for case in cases for event_id in case.expect.get("rows", {})}
    listed = ", ".join("'" + event_id.replace("'", "\\'") + "'" for event_id in ids) or "''"
    for row in query_rows(platform, f"event_id IN ({listed})"):
        made[ids[row["event_id"]]].rows.setdefault(row["event_id"], []).append(row)
    for case in cases:
        made[case.id].found = [query_rows(platform, one["where"]) for one in case.expect.get("found", [])]
    names = {name: case.id for case in cases for name in case.expect.get("drops", {})}
    for drop in platform.query(
        "SELECT name, reason, count() AS n FROM fairpixel.drops GROUP BY name, reason"
    ):
        if drop["name"] in names:
            made[names[drop["name"]]].drops.setdefault(drop["name"], {})[drop["reason"]] = drop["n"]
    logs = "".join(path.read_text("utf-8", "replace") for path in sorted(Path(platform.data).rglob("*.log")))
    for outcome in made.values():
        outcome.logs = logs


def query_rows(platform: Platform, where: str) -> list[dict[str, Any]]:
    """Rows in the order of receipt, properties as an object."""
    sql = f"SELECT {COLUMNS} FROM fairpixel.events WHERE {where} ORDER BY received_at, occurred_at, event_id"
    return [{**row, "properties": json.loads(row["properties"] or "{}")} for row in platform.query(sql)]
