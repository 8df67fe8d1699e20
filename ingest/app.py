"""The edge as one ASGI application: hot endpoints first, Starlette for all the rest, and the wiring of both."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.config import STARTUP_FAILURE

from ingest.clickhouse import ClickHouse
from ingest.counts import Counts, EdgeMetrics, render
from ingest.direct.endpoint import Direct
from ingest.direct.inbox import KafkaInbox
from ingest.endpoints.events import EventsEndpoint
from ingest.endpoints.intake import Intake, id_maker
from ingest.endpoints.mail import mail_endpoints
from ingest.endpoints.page_paths import page_endpoints
from ingest.endpoints.pixel import PixelEndpoint
from ingest.endpoints.routes import ROUTES, build_endpoints
from ingest.endpoints.trace import Traces, read_identity_secret
from ingest.mail.webhooks import webhook_routes
from ingest.native import both_forms, build_starlette, document_routes, notice_routes, trace_routes
from ingest.operation import NOT_FROM_HERE, Operators, parse_listen
from ingest.packing.delivery import Delivery
from ingest.packing.outbox import KafkaOutbox
from ingest.packing.packer import Packer
from ingest.packing.spool import Spool, SpoolLimits
from ingest.packing.spool_files import claim_spool
from ingest.reloadable import ReloadableConfiguration
from ingest.serving.answers import Receive, Scope, Send
from ingest.serving.connections import NETWORK_CONNECTIONS_MAX, SWEEP_S, Connections
from ingest.serving.cores import keep_to_core
from ingest.settings import EdgeSettings
from ingest.visitors.used_links import FORGET_S, UsedLinks
from runtime import metrics
from runtime.config import ConfigError
from runtime.kafka_access import find_access
from runtime.logs import configure_logs, get_logger
from runtime.secrets import SecretsError
from runtime.settings import PlatformSettings
from schemas.pack import PackLimits
from schemas.topics import PARTITIONS_DEFAULT, RAW_RETENTION_MS

REFRESH_S = 2.0  # between two looks at the configuration and the key ring
FIRST_KEYS_S = 0.2  # the same while there is no key at all
REFUSALS_S = 1.0  # refusal counts wait so long for a pack to travel with
PARTITIONS_S = 60.0  # between two questions for the number of partitions
FIRST_METADATA_S = 3.0
STOP_S_MAX = 8.0  # for the packs under way; after 1 s they go to the spool

Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]

log = get_logger()


class Edge:
    """The application uvicorn runs; everything that lives on the event loop begins at start-up and ends at shutdown."""

    def __init__(
        self, settings: PlatformSettings, edge_settings: EdgeSettings, reloadable: ReloadableConfiguration
    ) -> None:
        self._settings = settings
        self._edge = edge_settings
        self._reloadable = reloadable
        self._counts = Counts()
        self._endpoints: dict[str, Endpoint] = {}
        of_network = 0 if edge_settings.trusted_proxies else NETWORK_CONNECTIONS_MAX
        self.connections = Connections(edge_settings.header_seconds_max, of_network)
        self._operators = Operators(
            edge_settings.metrics == "public", parse_listen(edge_settings.metrics_listen)
        )
        self._used_links = UsedLinks(settings.data / "ingest" / "links")
        self._traces = Traces(ClickHouse.of(settings), lambda: read_identity_secret(settings, os.environ))
        self._pages = build_starlette(
            [
                *document_routes(),
                *both_forms("/healthz", self._healthz),
                *both_forms("/health", self._health),  # as Snowplow's collector has it, and its /sink-health
                *both_forms("/sink-health", self._readyz),
                *both_forms("/robots.txt", _robots),
                *both_forms("/readyz", self._readyz),
                *both_forms("/metrics", self._metrics),
                *trace_routes(self._traces, lambda: reloadable.sites),
                *notice_routes(lambda: reloadable.notices, lambda: reloadable.sites),
            ]
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One connection event of ASGI; no coroutine of its own, as one more costs each hit 0.1 µs."""
        if scope["type"] == "lifespan":
            return self._live_through(receive, send)
        return self._endpoints.get(scope.get("path", ""), self._pages)(scope, receive, send)

    async def _live_through(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> None:
        root = self._settings.data / "ingest" / "spool"
        files = await asyncio.to_thread(claim_spool, root, self._edge.name)
        kafka = find_access(self._settings, "ingest")
        self._outbox = KafkaOutbox(kafka)
        limits = SpoolLimits(self._edge.spool_bytes_max, RAW_RETENTION_MS // 2)
        spool = Spool(files, limits, asyncio.get_running_loop().call_soon_threadsafe)
        self._delivery = Delivery(
            self._outbox,
            spool,
            root,
            lambda: self._reloadable.ring,
            self._counts,
            self._edge.kafka_wait_ms_max,
        )
        self._packer = Packer(
            files.folder.name,
            await self._partition_count(FIRST_METADATA_S),
            self._delivery.send,
            lambda: self._reloadable.newest_key(int(time.time() * 1000)),
            os.urandom,
            PackLimits(age_ms_max=self._edge.pack_age_ms_max),
        )
        await self._forget_links()
        intake = Intake(self._reloadable, self._packer, self._counts, self._edge, id_maker())
        self._endpoints = self._build_endpoints(intake)
        self._direct = Direct(intake, lambda: KafkaInbox(kafka), os.urandom)
        # Events make few cycles: looking for them rarely makes a batched event 8.6 µs instead of 9.8, and the slowest
        # hundredth of batches 15 ms instead of 40.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 100)
        worker = int(files.folder.name.rpartition("-")[2])
        core = keep_to_core(self._settings.edge_port + worker) if self._edge.core == "own" else None
        tasks = (
            self._keep_fresh(),
            self._keep_partitions(),
            self._keep_links(),
            self._end_silent_connections(),
        )
        self._tasks = [asyncio.create_task(task) for task in tasks]
        log.info(
            "edge_started",
            edge=files.folder.name,
            partitions=self._packer.partition_count,
            spooled=files.pack_count,
            core=core,
        )

    def _build_endpoints(self, intake: Intake) -> dict[str, Endpoint]:
        pixel, events = PixelEndpoint(intake), EventsEndpoint(intake)
        self.connections.endpoint, self.connections.read_request_context = pixel, intake.request_context
        endpoints, templates = build_endpoints(
            intake, (*ROUTES, *webhook_routes(lambda: self._reloadable.mail))
        )
        self._pages.router.routes += [Route(path, endpoint) for path, endpoint in templates.items()]
        self._pages.router.routes += [
            Route(path, endpoint) for path, endpoint in mail_endpoints(intake).items()
        ]
        hot: dict[str, Endpoint] = {
            **endpoints,
            **page_endpoints(intake, self._used_links),
            "/p.gif": pixel,
            "/p.gif/": pixel,
            "/v1/events": events,
            "/v1/events/": events,
        }
        self.connections.posts = hot
        return hot

    async def _end_silent_connections(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(SWEEP_S)
            self.connections.sweep(clock())

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._traces.close()
        await self._direct.stop()
        under_way = self._packer.flush()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await asyncio.gather(*under_way)
                while self._packer.waiting_events:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.error("edge_stopped_early", events_unanswered=self._packer.waiting_events)
        await self._delivery.stop()
        log.info("edge_stopped", spooled=self._delivery.spool_packs)

    async def _keep_fresh(self) -> None:
        """Look at the files again, and send refusal counts on their way when nothing else travels."""
        refresh_at = 0.0
        while True:
            await asyncio.sleep(REFUSALS_S if self._reloadable.ring.keys else FIRST_KEYS_S)
            if not self._reloadable.ring.keys or time.monotonic() >= refresh_at:
                refresh_at = time.monotonic() + REFRESH_S
                self._reloadable.refresh()
            if self._packer.has_refusals and self._reloadable.ring.keys and self._delivery.can_accept:
                self._packer.flush()

    async def _keep_partitions(self) -> None:
        while True:
            await asyncio.sleep(PARTITIONS_S if self._partitions_known else 1.0)
            self._packer.grow(await self._partition_count(FIRST_METADATA_S))

    async def _keep_links(self) -> None:
        while True:
            await asyncio.sleep(FORGET_S)
            await self._forget_links()

    async def _forget_links(self) -> None:
        await asyncio.to_thread(self._used_links.forget, int(time.time() * 1000))

    async def _partition_count(self, timeout_s: float) -> int:
        """As Kafka says, else as it last said (events must meet their copies), else as the embedded broker has it."""
        remembered = self._settings.data / "ingest" / "partitions.json"
        found = await asyncio.to_thread(self._outbox.fetch_partition_count, timeout_s)
        last = found or await asyncio.to_thread(_recall, remembered)
        # Where the topics are about to grow, no event may go by the old number any more: its copies would go by the
        # new one. A pack for a partition that is not made yet waits in the spool; asking tells the producer of it.
        count = max(last or 0, self._settings.kafka_partitions) or PARTITIONS_DEFAULT
        self._partitions_known = found == count
        if found:
            await asyncio.to_thread(_remember, remembered, count)
        return count

    async def _healthz(self, _: Request) -> Response:
        """Alive: the loop answers, Kafka's reports are fetched, the spool's writer and all tasks run."""
        running = self._direct.is_running and not any(task.done() for task in self._tasks)
        alive = self._delivery.is_healthy and running
        return JSONResponse({"status": "ok" if alive else "stuck"}, 200 if alive else 503)

    async def _health(self, request: Request) -> Response:
        status = (await self._healthz(request)).status_code
        return PlainTextResponse("ok" if status == 200 else "stuck", status)

    async def _readyz(self, request: Request) -> Response:
        """Hits can be accepted: there is a key to seal under, and Kafka or the spool has room. Why not, and how far
        behind it is, those are told who run it."""
        reasons = []
        if not self._reloadable.ring.keys:
            reasons.append("no key in the ring yet: the program streams makes the first")
        if not self._delivery.can_accept:
            reasons.append("Kafka is away and the spool takes nothing more")
        payload: dict[str, object] = {"status": "not ready" if reasons else "ready"}
        if self._operators.may_see(request.scope):
            payload |= {
                "reasons": reasons,
                "warnings": self._delivery.warnings,
                "consumer_lag": self._direct.consumer_lag,
            }
        return JSONResponse(payload, 503 if reasons else 200)

    async def _metrics(self, request: Request) -> Response:
        if not self._operators.may_see(request.scope):
            return JSONResponse(NOT_FROM_HERE._asdict(), 403, {"cache-control": "no-store"})
        gauges: dict[metrics.Metric, Callable[[], float]] = {
            metrics.INGEST_SPOOL_PACKS: lambda: self._delivery.spool_packs,
            metrics.INGEST_SPOOL_BYTES: lambda: self._delivery.spool_bytes,
            metrics.INGEST_SPOOL_FILL: lambda: self._delivery.spool_fill,
            metrics.INGEST_WAITING: lambda: self._packer.waiting_events,
            metrics.INGEST_DIRECT_CONSUMER_LAG: lambda: self._direct.consumer_lag,
        }
        return Response(
            render(EdgeMetrics(self._counts, gauges)), media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def build_edge() -> Edge:
    """The application, with settings from the environment; uvicorn calls this in each worker."""
    configure_logs("ingest")
    _end_with_parent()
    settings = PlatformSettings.from_env(os.environ)
    try:
        reloadable = ReloadableConfiguration(settings, os.environ)
    except (ConfigError, SecretsError) as error:
        _give_up(f"{error}\nRepair it, then check with: fairpixel config check")
    except OSError as error:
        _give_up(f"{error.filename}: {error.strerror}\n`fairpixel up` makes it.")
    return Edge(settings, EdgeSettings.from_env(os.environ), reloadable)


def _give_up(why: str) -> NoReturn:
    """End in a way that workers.py understands: the next one would fail the same way."""
    print(why, file=sys.stderr)
    sys.exit(STARTUP_FAILURE)


async def _robots(_: Request) -> Response:
    """Nothing here is for a search engine, and a crawler that follows links would click them."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def _end_with_parent() -> None:
    """Stop in order when the process that watches the workers is killed: its successor needs port and spool."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def _remember(path: Path, partition_count: int) -> None:
    if _recall(path) != partition_count:
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(partition_count), "ascii")
        partial.replace(path)


def _recall(path: Path) -> int | None:
    try:
        count = json.loads(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return count if isinstance(count, int) and count > 0 else None
