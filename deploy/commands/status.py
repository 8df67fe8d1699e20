"""`fairpixel status`: each program with its pid, how it does and its consumer lag."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def run(
    as_json: Annotated[bool, typer.Option("--json", help="for programs: one JSON object")] = False,
) -> None:
    """Show how each program does; exit code 0 when all is well, 1 otherwise."""
    import json

    from deploy.checks import disk_problem
    from deploy.local import Platform
    from deploy.supervisor.look import look, lost_log_lines

    platform = Platform.from_env(os.environ)
    looks = look(platform.folder, [program for program in platform.programs if program.listed])
    lost = lost_log_lines(platform.folder)
    if as_json:
        print(json.dumps({"programs": [one.as_json() for one in looks], "log_lines_lost": lost}))
    else:
        from rich.console import Console

        from deploy.display import status_table

        console = Console()
        console.print(status_table(looks))
        if problem := disk_problem(platform.settings):
            console.print(str(problem), style="red", soft_wrap=True, highlight=False)
        if lost:
            text = f"Logs lost {lost} lines the disk did not take since the start."
            console.print(text, style="yellow", highlight=False)
        if all(one.health == "stopped" for one in looks):
            console.print(f"Nothing runs on {platform.settings.data}; start it with: make up")
    raise typer.Exit(0 if all(one.health == "ok" for one in looks) else 1)
