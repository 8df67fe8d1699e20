"""Every path the SDKs of Segment, RudderStack and PostHog use is served: both slash forms, bare and prefixed."""

from __future__ import annotations

from typing import cast

import pytest

from ingest.endpoints.intake import Intake
from ingest.endpoints.routes import ROUTES, build_endpoints

EXACT, TEMPLATES = build_endpoints(cast(Intake, None))  # no endpoint is opened
CALLS = ("identify", "track", "page", "screen", "group", "alias")
SEGMENT = [f"/v1/{path}" for path in (*CALLS, "i", "t", "p", "s", "g", "a", "b", "m", "batch", "import")] + [
    f"/v1/pixel/{call}" for call in CALLS
]
POSTHOG = [
    "/e",
    "/i/v0/e",
    "/capture",
    "/track",
    "/engage",
    "/batch",
    "/s",
    "/flags",
    "/decide",
    "/i/v1/analytics/events",
]
RUDDERSTACK = [
    "/beacon/v1/batch",
    "/pixel/v1/track",
    "/pixel/v1/page",
    "/sourceConfig",
    "/version",
    "/v1/merge",
]


@pytest.mark.parametrize(
    "path",
    [
        *(prefix + path for path in SEGMENT for prefix in ("", "/segment")),
        *(prefix + path for path in POSTHOG for prefix in ("", "/posthog")),
        *(prefix + path for path in RUDDERSTACK for prefix in ("", "/rudderstack")),
        *(f"/rudderstack/v1/{path}" for path in (*CALLS, "batch", "import")),
        "/segment/batch", "/segment/b", "/segment/batch/b",
    ],
)  # fmt: skip
def test_a_path_is_served_with_and_without_its_slash(path: str) -> None:
    assert path in EXACT
    assert f"{path}/" in EXACT


@pytest.mark.parametrize(
    "path",
    [
        "/v1/projects/{writeKey}/settings", "/v1/projects/projects/{writeKey}/settings",
        "/array/{token}/config", "/array/{token}/config.js",
    ],
)  # fmt: skip
def test_boot_answers_are_served(path: str) -> None:
    assert path in TEMPLATES


def test_our_own_beacon_and_segments_batch_do_not_meet() -> None:
    assert not any(
        route.path in ("/b", "/batch/b") and route.bare for route in ROUTES if route.protocol == "segment"
    )
