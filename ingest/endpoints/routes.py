"""All paths of compatible clients in one place, and who owns a path that two protocols use (docs/protocols)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ingest.endpoints.compatible import ProtocolEndpoint
from ingest.endpoints.intake import Intake
from ingest.protocols import batch, plausible, rudderstack
from ingest.protocols.ga4 import endpoint as ga4
from ingest.protocols.matomo import endpoint as matomo
from ingest.protocols.posthog import endpoint as posthog
from ingest.protocols.protocol import Route
from ingest.protocols.segment import endpoint as segment
from ingest.protocols.snowplow import endpoint as snowplow

ROUTES: tuple[Route, ...] = (
    *snowplow.ROUTES,
    *matomo.ROUTES,
    *plausible.ROUTES,
    *ga4.ROUTES,
    *segment.ROUTES,
    *rudderstack.ROUTES,
    *batch.ROUTES,  # before PostHog's: it shares this path with Segment
    *posthog.ROUTES,
)


def build_endpoints(
    intake: Intake, routes: Iterable[Route] = ROUTES
) -> tuple[dict[str, ProtocolEndpoint], dict[str, ProtocolEndpoint]]:
    """(exact path -> endpoint, path with {parameters} -> endpoint), both forms of every slash, with and without prefix.

    Where two protocols share a bare path and a method, the one that stands first in `routes` has it.
    """
    by_path: dict[str, list[Route]] = defaultdict(list)
    for route in routes:
        prefixed = f"/{route.protocol}{route.path}".rstrip("/")
        for path in (prefixed, route.path.rstrip("/")) if route.bare else (prefixed,):
            for form in (path, f"{path}/"):
                if form:
                    by_path[form].append(route)
    endpoints = {path: ProtocolEndpoint(intake, of_path) for path, of_path in by_path.items()}
    exact = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
    return exact, {path: endpoint for path, endpoint in endpoints.items() if "{" in path}
