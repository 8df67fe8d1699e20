"""`fairpixel doctor`: check everything; each line is ok, or says what is wrong and what to do."""

from __future__ import annotations

import os

import typer

SIGNS = {"ok": "green", "warn": "yellow", "wrong": "red"}


def run() -> None:
    """Check everything the platform stands on; exit code 1 when something is wrong."""
    from rich.console import Console
    from rich.text import Text

    from deploy.doctor import examine
    from deploy.local import Platform

    console = Console()
    wrong = False
    for finding in examine(Platform.from_env(os.environ)):
        console.print(
            Text(f"{finding.sign:<6}", SIGNS[finding.sign]) + Text(f"{finding.subject:<12} {finding.found}")
        )
        if finding.hint:
            console.print(Text(f"{'':19}{finding.hint}"))
        wrong = wrong or finding.sign == "wrong"
    raise typer.Exit(1 if wrong else 0)
