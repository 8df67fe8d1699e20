"""No core dumps: the memory of our programs and commands holds keys, secrets and unsealed events."""

from __future__ import annotations

import resource


def leave_no_core() -> None:
    """For this process and all it starts or becomes, whatever limit it was given; they cannot raise it again.

    Where the kernel pipes dumps to a collector (systemd-coredump, apport), the collector is told the limit and keeps
    nothing; that it sees the memory for a moment is the machine's setting, and not ours to change.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
