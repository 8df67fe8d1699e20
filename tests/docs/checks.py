"""What is true after each command of a page, and which commands no test can run."""

from __future__ import annotations

from collections.abc import Callable

from tests.docs.terminal import Terminal

# Runs a command as the page prints it, between what the page presumes and what it says comes of it.
Check = Callable[[Terminal, str], None]

CHECKS: dict[str, Check] = {}

# Commands that no test runs, by their key, and why.
EXCEPTIONS = {
    "kill -9": "names how tests end a program; tests/faults does it to each",
    "make setup": "downloads packages; tests/deploy/test_bootstrap.py runs the program behind it, without a network",
    "fairpixel <name>": "stands for any command",
    "fairpixel mail-link": "names the command, which mail.md shows with its arguments",
    "fairpixel logs follow": "names the command, which logs.md and nginx.md show with their arguments",
    "python -m tests.ingest.protocols.recorded <name>": "writes golden files into the working tree; the tests of a "
    "protocol compare those files with what the protocol does",
    "python -m tests.streams.test_golden": "writes golden files into the working tree; "
    "tests/streams/test_golden.py compares them with what the pipeline does",
    "python -m tests.house.tables": "writes tables into the working tree; tests/house/test_readme.py compares them "
    "with the code",
    'make bench ARGS="--only import"': "measures for minutes, and says nothing on a machine that tests keep busy",
    "kafka-acls.sh --bootstrap-server ... --add --allow-principal User:fairpixel-sinks --operation Read "
    "--topic events.clean.v1": "a script of Apache Kafka's own distribution, which is not part of ours; "
    "tests/attacks/test_kafka.py tries the rules",
}


def checks(*keys: str) -> Callable[[Check], Check]:
    """Registers a check for the commands of these keys."""

    def register(check: Check) -> Check:
        for key in keys:
            assert key not in CHECKS, f"two checks of {key}"
            CHECKS[key] = check
        return check

    return register
