"""Tables of both READMEs, made from the code they describe; `python -m tests.house.tables` writes them there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import ingest.protocols
from schemas.config import explain_config
from schemas.drops import DEAD_REASON_MEANING, DROP_REASON_MEANING, REFUSAL_REASON_MEANING
from schemas.kafka_acls import all_rules
from schemas.metrics import ALL_METRICS
from schemas.settings import FromEnv, documented_fields
from schemas.topics import all_topics

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
KAFKA_ACLS = ROOT / "docs" / "kafka-acls.md"
INGEST_README = ROOT / "ingest" / "README.md"
SETTINGS_MODULES = ("schemas.settings", "ingest.settings", "streams.settings", "sinks.settings")


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


def build_tables() -> dict[str, str]:
    """Each table by the name it has in the README."""
    return {
        "topics": table(
            ("topic", "what is in it", "partitions (embedded)", "kept for"),
            (
                (f"`{t.name}`", t.purpose, t.partitions, f"{int(t.config['retention.ms']) // 3_600_000} h")
                for t in all_topics()
            ),
        ),
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
        "metrics": table(
            ("metric", "kind", "labels", "meaning"),
            ((f"`{m.name}`", m.kind, ", ".join(m.labels), m.meaning) for m in ALL_METRICS),
        ),
        "drop reasons": table(
            ("reason", "meaning"),
            ((f"`{reason}`", meaning) for reason, meaning in DROP_REASON_MEANING.items()),
        ),
        "refusal reasons": table(
            ("reason", "meaning"),
            ((f"`{reason}`", meaning) for reason, meaning in REFUSAL_REASON_MEANING.items()),
        ),
        "dead reasons": table(
            ("reason", "meaning"),
            ((f"`{reason}`", meaning) for reason, meaning in DEAD_REASON_MEANING.items()),
        ),
    }


def build_mapping_tables() -> dict[str, str]:
    """What each compatible protocol's words become, by the name of its table in ingest/README.md."""
    return {
        f"mapping_{one.name}": table(
            ("our field", "from"),
            ((f"`{field}`", words) for field, words in module.MAPPING.items()),
        )
        for one in iter_modules(ingest.protocols.__path__)
        if {"MAPPING", "ROUTES"} <= vars(module := import_module(f"ingest.protocols.{one.name}")).keys()
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


def fill(text: str, tables: dict[str, str]) -> str:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->` for each table."""
    for name, content in tables.items():
        pattern = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(text), f"the README has no place for the table {name!r}"
        text = pattern.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    README.write_text(fill(README.read_text("utf-8"), build_tables()), "utf-8")
    KAFKA_ACLS.write_text(fill(KAFKA_ACLS.read_text("utf-8"), build_kafka_tables()), "utf-8")
    INGEST_README.write_text(fill(INGEST_README.read_text("utf-8"), build_mapping_tables()), "utf-8")
