"""A loader that may have little memory, as in a small container."""

from __future__ import annotations

import resource
import sys

from sinks.__main__ import main

MEMORY_MAX = 1_200 << 20  # bytes of addresses; stacks and reserves of threads take a good part of them

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    sys.exit(main())
