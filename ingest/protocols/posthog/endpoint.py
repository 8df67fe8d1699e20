"""PostHog's capture API, v0 and v1, and what its browser SDK asks for before it starts (docs/protocols/posthog.md)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import orjson

from ingest.protocols.envelope import (
    UNKNOWN_KEY,
    Item,
    bearer,
    read_items,
    refuse_whole,
    rows_and_refusals,
)
from ingest.protocols.lenient import first_text, mapping, moment
from ingest.protocols.posthog.events import MAPPING, RECORDING, Events
from ingest.protocols.protocol import (
    Answer,
    Ask,
    Reading,
    Route,
    TooMuchInside,
    error_answer,
    gif_answer,
    json_answer,
)
from ingest.reading.body import (
    EVENT_COUNT_MAX,
    INFLATED_BYTES_MAX,
    TOO_LARGE,
    begins_json,
    inflate,
    split_list,
)
from ingest.reading.fields import Rejection, Unacceptable, invalid
from ingest.reading.pixel import parse_query
from ingest.reading.sites import Credential

__all__ = ["MAPPING", "ROUTES", "read_v0"]

OK = json_answer({"status": "Ok"})
COMPRESSIONS = ["gzip", "gzip-js"]
BUSY_STATUS = 503  # the browser SDK drops what was answered with 429


def read_v0(ask: Ask) -> Reading:
    """One event, a list, or a batch. Exactly 200 where anything was taken: any other 2xx is sent again."""
    try:
        fields, items = split_list(_payload(ask), "batch")
    except Unacceptable as problem:
        return refuse_whole(problem.rejection, _status(problem.rejection))
    one_event = items is None
    params = parse_query(ask.query)
    key = first_text(
        _own_key(fields),
        bearer(ask.headers),
        params.get("api_key"),
        params.get("token"),
        params.get("_token"),
    )
    credential = ask.sites.find(key or "")
    if key and credential is None:
        return refuse_whole(UNKNOWN_KEY, 401)
    given = [fields] if items is None else items
    sent_at = fields.get("sent_at") or fields.get("sentAt") or params.get("_")
    try:
        read = _read(ask, given, credential, sent_at)
    except Unacceptable as problem:
        return refuse_whole(
            problem.rejection, _status(problem.rejection), credential.site if credential else ""
        )
    rows, refusals = rows_and_refusals(read)
    if not rows and refusals and all(item.why == UNKNOWN_KEY for item in read):
        return Reading(error_answer(UNKNOWN_KEY, 401), [], refusals)
    if one_event and refusals:  # nothing else hangs on it, and it can never succeed
        return Reading(error_answer(refusals[0][1], 400), rows, refusals)
    return Reading(gif_answer() if params.get("img") == "1" else OK, rows, refusals)


def _read(ask: Ask, items: list[Any], credential: Credential | None, sent_at: object) -> list[Item]:
    """sender: whose key stands beside the events; None where each has its own."""

    def credential_of(item: Any) -> Credential | None:
        return credential or ask.sites.find(_own_key(mapping(item)) or "")

    return read_items(
        ask, items, credential_of, Events(ask, moment(sent_at)).read, EVENT_COUNT_MAX, INFLATED_BYTES_MAX
    )


def _own_key(item: Mapping[str, Any]) -> str | None:
    payload = mapping(item.get("properties"))
    return first_text(
        item.get("api_key"),
        item.get("token"),
        item.get("$token"),
        payload.get("token"),
        payload.get("api_key"),
    )


def _payload(ask: Ask) -> bytes:
    """The JSON of a request: its body, or base64 in the body, in a form's `data` or in the query's."""
    params = parse_query(ask.query)
    if ask.method == "GET":
        return _decode(params.get("data", ""), ask)
    is_json = begins_json(ask.body)
    if not is_json and b"data=" in ask.body[:200].lstrip():
        if ask.body.count(b"&") > FORM_FIELDS_MAX:
            raise invalid("data", f"a form of at most {FORM_FIELDS_MAX} fields")
        return _decode(parse_query(ask.body).get("data", ""), ask)
    if params.get("compression") == "base64" and not is_json:
        return _decode(ask.body.decode("ascii", "replace"), ask)
    return ask.body


def _decode(data: str, ask: Ask) -> bytes:
    """JSON itself, or base64 of it, compressed or not. Raises Unacceptable, and TooMuchInside."""
    data = data.strip()
    if data[:1] in ("{", "["):
        return data.encode("utf-8", "replace")
    plain = data.translate(_STANDARD)
    try:
        return inflate(b64decode(plain + "=" * (-len(plain) % 4)), "", ask.inner_bytes_max)
    except Unacceptable as problem:
        if problem.rejection is TOO_LARGE and ask.inner_bytes_max < INFLATED_BYTES_MAX:
            raise TooMuchInside from None
        raise
    except (binascii.Error, ValueError):
        raise invalid("data", "JSON, or base64 of JSON") from None


_STANDARD = str.maketrans("-_ ", "+/+")  # a plus in a form reads as a space


def read_v1(ask: Ask) -> Reading:
    """A batch of v1: a result for each uuid; a refused event is `drop`, as sending it again would change nothing."""
    credential = ask.sites.find(bearer(ask.headers))
    if credential is None:
        return _refuse_v1(UNKNOWN_KEY, 401)
    try:
        fields, items = split_list(ask.body, "batch")
        if items is None:
            raise invalid("batch", "a list of events")
        sent_at = ask.headers.get(b"posthog-request-timestamp", b"").decode("latin-1")
        read = _read(ask, items, credential, sent_at or fields.get("sent_at"))
    except Unacceptable as problem:
        return _refuse_v1(problem.rejection, _status(problem.rejection), credential.site)
    results = {
        item["uuid"]: {"result": "ok"}
        if one.why is None
        else {"result": "drop", "details": _explain(one.why)}
        for item, one in zip(items, read, strict=True)
        if isinstance(item, dict) and isinstance(item.get("uuid"), str)
    }
    return Reading(json_answer({"results": results}), *rows_and_refusals(read))


def _refuse_v1(why: Rejection, status: int, site: str = "") -> Reading:
    return Reading(answer_v1(why, status), [], [(site, why)])


def answer_v1(why: Rejection, status: int) -> Answer:
    """An error in v1's words and in ours."""
    content = {**why._asdict(), "error": why.code, "error_description": _explain(why), "error_uri": CODES_URI}
    return json_answer(content, status)


FORM_FIELDS_MAX = 100
CODES_URI = "/docs#codes"  # a page for people that explains every code


def _explain(why: Rejection) -> str:
    return f"{why.message} {why.detail}"


def _status(why: Rejection) -> int:
    return 413 if why == TOO_LARGE else 400


def discard_recording(_: Ask) -> Reading:
    """A recording of a session: not taken, counted, and a success, as the client would send it again."""
    return Reading(OK, [], [("", RECORDING)])


def read_flags(ask: Ask) -> Reading:
    """There are no feature flags; for `/flags` and the older `/decide`."""
    return Reading(
        json_answer(
            {
                "flags": {},
                "featureFlags": {},
                "featureFlagPayloads": {},
                "errorsWhileComputingFlags": False,
                "sessionRecording": False,
                "supportedCompression": COMPRESSIONS,
                "requestId": ask.make_id(),
                **_config(),
            }
        )
    )


def read_config(ask: Ask) -> Reading:
    """The remote configuration of a project: capture, and nothing else."""
    token = ask.path_params.get("token", "")
    if ask.sites.find(token) is None:
        return refuse_whole(UNKNOWN_KEY, 404)
    return Reading(json_answer({"token": token, "hasFeatureFlags": False, **_config()}))


def read_config_script(ask: Ask) -> Reading:
    """The same as a script that leaves it where the browser SDK looks."""
    token = ask.path_params.get("token", "")
    if ask.sites.find(token) is None:
        return refuse_whole(UNKNOWN_KEY, 404)
    content = orjson.dumps(
        {"config": {"token": token, "hasFeatureFlags": False, **_config()}, "siteApps": []}
    )
    script = b"(window._POSTHOG_REMOTE_CONFIG = window._POSTHOG_REMOTE_CONFIG || {})[%s] = %s;\n"
    headers = [
        (b"content-type", b"application/javascript; charset=utf-8"),
        (b"cache-control", b"public, max-age=300"),
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]
    return Reading(Answer(200, script % (orjson.dumps(token), content), headers))


def _config() -> dict[str, Any]:
    """Everything that would record, survey or change a page is off."""
    return {
        "supportedCompression": COMPRESSIONS,
        "autocapture_opt_out": True,
        "autocaptureExceptions": False,
        "captureDeadClicks": False,
        "capturePerformance": False,
        "defaultIdentifiedOnly": True,
        "heatmaps": False,
        "sessionRecording": False,
        "siteApps": [],
        "surveys": False,
    }


ROUTES: tuple[Route, ...] = (
    *(
        Route("posthog", path, ("POST", "GET"), read_v0, BUSY_STATUS)
        for path in ("/e", "/i/v0/e", "/capture", "/track", "/engage", "/batch")
    ),
    Route("posthog", "/i/v1/analytics/events", ("POST",), read_v1, BUSY_STATUS, refuse=answer_v1),
    Route("posthog", "/s", ("POST",), discard_recording, BUSY_STATUS),
    *(Route("posthog", path, ("POST", "GET"), read_flags, BUSY_STATUS) for path in ("/flags", "/decide")),
    Route("posthog", "/array/{token}/config", ("GET",), read_config),
    Route("posthog", "/array/{token}/config.js", ("GET",), read_config_script),
)
