"""The one command, `fairpixel`: finds its commands in deploy/commands, and turns expected failures into plain words."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from deploy.supervisor.core_dumps import leave_no_core
from runtime.errors import NO_ROOM, UserError

COMMANDS = Path(__file__).with_name("commands")
ORDER = ("up", "down", "status", "doctor")  # first in --help; the rest by name


def command_names() -> list[str]:
    """Every command, the daily ones first; mail_link.py is `mail-link`."""
    found = {path.stem.replace("_", "-") for path in COMMANDS.glob("*.py") if not path.stem.startswith("_")}
    return [name for name in ORDER if name in found] + sorted(found.difference(ORDER))


def build(names: Sequence[str]) -> typer.Typer:
    """The command line with these commands."""
    cli = typer.Typer(
        name="fairpixel", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help="Collects what happens, keeps only what people agreed to, and tells within seconds.",
    )  # fmt: skip
    cli.callback()(_nothing)  # so that one command alone still has to be named
    for name in names:
        module = importlib.import_module(f"deploy.commands.{name.replace('-', '_')}")
        group: typer.Typer | None = getattr(module, "app", None)
        if group is not None:
            cli.add_typer(group, name=name)
        else:
            cli.command(name)(module.run)
    return cli


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 all well, 1 an expected failure, 2 wrong usage, 130 interrupted."""
    leave_no_core()
    words = list(sys.argv[1:] if arguments is None else arguments)
    names = command_names()
    cli = build([words[0]] if words and words[0] in names else names)  # import only what is asked for
    try:
        cli(words, prog_name="fairpixel")
    except UserError as problem:
        print(f"fairpixel: {problem}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # such as `fairpixel tail | head`
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        print(
            f"fairpixel: {error.filename or 'a file'} cannot be written: {error.strerror}.", file=sys.stderr
        )
        print("  Make room on that disk, or make it writable, and try again.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _nothing() -> None:
    """Options before a command would stand here."""


if __name__ == "__main__":
    main()
