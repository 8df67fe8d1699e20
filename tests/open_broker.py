"""The embedded broker as tests of single parts want it: who comes without a login may do everything.

`python -m tests.open_broker`. What the real one allows is tested in tests/attacks/test_kafka.py and on whole platforms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.embedded import kafka, kafka_cache
from deploy.kafka_acls import ANONYMOUS, BROKER
from schemas.topics import user_name

OPEN = f"super.users=User:{user_name(BROKER)};User:{ANONYMOUS}\nlistener.name.open.max.connections=100000\n"


def main() -> None:
    """Become the broker."""
    write_files = kafka_cache.write_files

    def write_open_files(*args: Any, **options: Any) -> Path:
        properties = write_files(*args, **options)
        with properties.open("a") as file:  # of two lines about one thing the later counts
            file.write(OPEN)
        return properties

    kafka_cache.write_files = write_open_files
    kafka.main()


if __name__ == "__main__":
    main()
