"""Which SDKs are those of apps, by the names they give themselves in each protocol."""

from __future__ import annotations

import pytest

from ingest.protocols.apps import APP, flag_of_app


@pytest.mark.parametrize(
    "name",
    [
        "@segment/analytics-react-native", "analytics-kotlin", "analytics-swift", "analytics_flutter", "analytics-ios",
        "com.rudderstack.android.sdk.core", "rudder-ios-library", "RudderReactNative", "posthog-android", "posthog-ios",
        "posthog-react-native", "posthog-flutter", "rn-2.1.0", "andr-6.0.1", "ios-5.4.0", "flutter-0.2.0", "mobile",
    ],
)  # fmt: skip
def test_an_app_names_itself(name: str) -> None:
    assert flag_of_app(name) == APP


@pytest.mark.parametrize(
    "name",
    [
        "analytics.js", "@segment/analytics-next", "analytics-python", "analytics-node", "RudderLabs JavaScript SDK",
        "posthog-js", "posthog-python", "web", "server", "py-1.0.2", "js-3.2.0", "audios", "", None, 7, {"name": "ios"},
        "x" * 1_000_000 + "ios",
    ],
)  # fmt: skip
def test_a_page_or_a_backend_does_not(name: object) -> None:
    assert flag_of_app(name) == 0
