"""SDKs of apps, known by what they call themselves: a person holds the device, whatever library carries the request."""

from __future__ import annotations

import re

from schemas.event import Flag

APP = int(Flag.APP)
NAME_LENGTH_MAX = 200  # characters that are looked at
# Platforms and toolkits of apps as words of a name: `analytics-kotlin`, `com.rudderstack.android.sdk.core`,
# `posthog-ios`, `analytics_flutter`, `@segment/analytics-react-native`.
_APP_WORD = re.compile(
    r"react[-_]?native|(?<![a-z])(?:android|andr|ios|iphone|kotlin|kmp|swift|objc|flutter|dart|expo|unity|xamarin|maui"
    r"|cordova|capacitor|nativescript|titanium|mobile|rn)(?![a-z])"
)


def flag_of_app(library: object) -> int:
    """Flag.APP where the name of an SDK, as it stands in the event, is one of an app; else 0."""
    if not library or not isinstance(library, str):
        return 0
    return APP if _APP_WORD.search(library[:NAME_LENGTH_MAX].lower()) else 0
