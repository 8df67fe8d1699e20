"""A loader that may have little memory, as in a small container."""

from __future__ import annotations

import resource
import sys

from sinks.__main__ import main

# Bytes it may write to: idle it has 190 MB of them. Not of addresses: how many of those threads reserve grows with the
# machine's cores.
MEMORY_MAX = 600 << 20

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MAX, MEMORY_MAX))
    sys.exit(main())
