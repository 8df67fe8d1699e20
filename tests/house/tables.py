"""Tables of the pages in docs, made from the code they describe; `python -m tests.house.tables` writes them there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import ingest.protocols
from deploy.kafka_acls import all_rules
from deploy.sizing.sizes import Asked, choose_sizes
from ingest.endpoints.routes import ROUTES
from ingest.protocols.protocol import Route
from ingest.reading.cloudevents import CONTEXT_EXTENSIONS, EXTENSIONS
from ingest.reading.codes import CODE_MEANING
from runtime.config import explain_config
from runtime.metrics import ALL_METRICS, WHAT_TO_DO
from runtime.settings import FromEnv, documented_fields
from schemas.drops import DEAD_REASON_MEANING, DROP_REASON_MEANING, REFUSAL_REASON_MEANING
from schemas.signals.rows import ROWS
from schemas.topics import all_topics

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SETTINGS_MODULES = ("runtime.settings", "ingest.settings", "streams.settings", "sinks.settings")


def table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def settings_classes() -> Iterator[type[FromEnv]]:
    """Every settings class of the platform, in the order of the programs."""
    for module_name in SETTINGS_MODULES:
        for value in vars(import_module(module_name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, FromEnv)
                and value is not FromEnv
                and value.__module__ == module_name
            ):
                yield value


def build_settings_tables() -> dict[str, str]:
    """For docs/settings.md."""
    return {
        "settings": table(
            ("variable", "default", "meaning"),
            (
                (
                    f"`{one.metadata['variable']}`",
                    f"`{one.default}`" if one.default != "" else "",
                    one.metadata["meaning"],
                )
                for settings in settings_classes()
                for one in documented_fields(settings)
            ),
        ),
        "configuration": table(
            ("key in fairpixel.toml", "default", "meaning"),
            ((f"`{key}`", f"`{default}`", meaning) for key, default, meaning in explain_config()),
        ),
    }


def build_operations_tables() -> dict[str, str]:
    """For docs/operations.md."""
    sizes = {cores: choose_sizes(cores, Asked(), None) for cores in (2, 4, 6, 8, 12, 16, 32, 64)}
    return {
        "sizes": table(
            ("cores", "edge workers", "streams workers", "partitions, at the first start"),
            ((cores, one.edge_workers, one.streams_workers, one.partitions) for cores, one in sizes.items()),
        ),
        "topics": table(
            ("topic", "what is in it", "partitions (up to 7 cores)", "kept for"),
            (
                (f"`{t.name}`", t.purpose, t.partitions, f"{int(t.config['retention.ms']) // 3_600_000} h")
                for t in all_topics()
            ),
        ),
    }


def build_consent_tables() -> dict[str, str]:
    """For docs/consent.md."""
    return {
        "decision": table(
            ("row", "measurement is", "when", "what would lead to more"),
            ((f"`{name}`", row.measurement, row.meaning, row.change) for name, row in ROWS.items()),
        )
    }


def build_metrics_tables() -> dict[str, str]:
    """For docs/metrics.md."""
    return {
        "metrics": table(
            ("metric", "kind", "labels", "meaning", "what to do"),
            (
                (f"`{m.name}`", m.kind, ", ".join(m.labels), m.meaning, WHAT_TO_DO[m.name])
                for m in ALL_METRICS
            ),
        )
    }


def build_reasons_tables() -> dict[str, str]:
    """For docs/reasons.md."""
    return {
        name: table(("reason", "meaning"), ((f"`{reason}`", meaning) for reason, meaning in meanings.items()))
        for name, meanings in (
            ("drop reasons", DROP_REASON_MEANING),
            ("refusal reasons", REFUSAL_REASON_MEANING),
            ("dead reasons", DEAD_REASON_MEANING),
        )
    }


def compatible_protocols() -> dict[str, ModuleType]:
    """The module of each compatible protocol, by its name."""
    modules = {
        one.name: import_module(f"ingest.protocols.{one.name}{'.endpoint' if one.ispkg else ''}")
        for one in iter_modules(ingest.protocols.__path__)
    }
    return {name: module for name, module in modules.items() if {"MAPPING", "ROUTES"} <= vars(module).keys()}


def build_protocol_tables(name: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """Where a compatible protocol is served, and what its words become; for its page."""
    routes: dict[str, list[Route]] = {}
    for route in ROUTES:
        if route.protocol == name:
            routes.setdefault(route.path, []).append(route)
    paths: dict[tuple[str, bool], list[str]] = {}  # (methods, also bare) -> paths
    for path, same in routes.items():
        methods = dict.fromkeys(method for route in same for method in route.methods)
        paths.setdefault((", ".join(sorted(methods)), any(route.bare for route in same)), []).append(path)
    return {
        "paths": table(
            ("method", f"paths behind `/{name}`", "also without the prefix"),
            (
                (methods, ", ".join(f"`{path}`" for path in served), "yes" if bare else "no")
                for (methods, bare), served in paths.items()
            ),
        ),
        "fields": table(("our field", "from"), ((f"`{field}`", words) for field, words in mapping.items())),
    }


def build_extension_tables() -> dict[str, str]:
    """For docs/protocols/cloudevents.md."""
    return {
        "extensions": table(
            ("extension", "our field"),
            (
                *((f"`{name}`", f"`{field}`") for name, field in EXTENSIONS.items()),
                *(
                    (f"`{name}`", f"`context.{field}`, secret key only")
                    for name, field in CONTEXT_EXTENSIONS.items()
                ),
            ),
        )
    }


def build_code_tables() -> dict[str, str]:
    """For docs/protocols/README.md."""
    return {
        "codes": table(
            ("code", "meaning"), ((f"`{code}`", meaning) for code, meaning in CODE_MEANING.items())
        )
    }


def build_kafka_tables() -> dict[str, str]:
    """Who may do what on Kafka, for docs/kafka-acls.md."""
    return {
        "kafka rules": table(
            ("principal", "may", "what", "for"),
            (
                (f"`User:{r.principal}`", ", ".join(r.operations), f"{r.resource} `{r.name}`", r.why)
                for r in all_rules()
            ),
        )
    }


def build_pages() -> dict[Path, dict[str, str]]:
    """Every page with tables that are made from code, and its tables by name."""
    return {
        DOCS / "consent.md": build_consent_tables(),
        DOCS / "kafka-acls.md": build_kafka_tables(),
        DOCS / "metrics.md": build_metrics_tables(),
        DOCS / "operations.md": build_operations_tables(),
        DOCS / "reasons.md": build_reasons_tables(),
        DOCS / "settings.md": build_settings_tables(),
        DOCS / "protocols" / "README.md": build_code_tables(),
        DOCS / "protocols" / "cloudevents.md": build_extension_tables(),
        **{
            DOCS / "protocols" / f"{name}.md": build_protocol_tables(name, module.MAPPING)
            for name, module in compatible_protocols().items()
        },
    }


def fill(text: str, tables: dict[str, str]) -> str:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->` for each table."""
    for name, content in tables.items():
        pattern = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(text), f"the page has no place for the table {name!r}"
        text = pattern.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    for page, tables_of_page in build_pages().items():
        page.write_text(fill(page.read_text("utf-8"), tables_of_page), "utf-8")
