"""All paths of our own tag: its scripts, its beacon, choices and links to other domains; both forms of every slash."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ingest.endpoints.beacon import BeaconEndpoint
from ingest.endpoints.choices import ChoiceEndpoint, LinkEndpoint
from ingest.endpoints.intake import Intake
from ingest.serving.answers import Receive, Scope, Send
from ingest.tag.endpoint import ScriptEndpoint, build_scripts
from ingest.visitors.crossdomain import Uses

Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]


def page_endpoints(intake: Intake, uses: Uses) -> dict[str, Endpoint]:
    """Exact path -> endpoint. uses: of links from other domains."""
    endpoints = {
        "/b": BeaconEndpoint(intake, uses),
        "/v1/consent": ChoiceEndpoint(intake, uses),
        "/v1/link": LinkEndpoint(intake),
    }
    scripts = {f"/{name}": ScriptEndpoint(script, intake.counts) for name, script in build_scripts().items()}
    exact: dict[str, Endpoint] = {**scripts, **endpoints}
    return {**exact, **{f"{path}/": endpoint for path, endpoint in exact.items()}}
