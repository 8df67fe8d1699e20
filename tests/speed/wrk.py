"""wrk as a load generator: pixels at a rate or as fast as they are answered, for a few microseconds of CPU each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.speed.http_load import COOKIE, HEADERS, PAGE

# wrk asks for a delay before each request of each connection, and that makes an open load of it: the requests of all
# connections have their due times in one row, and what is late is sent at once. wrk's timers know milliseconds.
SCRIPT = """
local ffi = require("ffi")
ffi.cdef [[ typedef struct { long sec; long usec; } clock_t_; int gettimeofday(clock_t_ *, void *); ]]
local clock = ffi.new("clock_t_")
local function now_ms()
  ffi.C.gettimeofday(clock, nil)
  return tonumber(clock.sec) * 1000 + tonumber(clock.usec) / 1000
end

local start, asked, made = nil, 0, 0
if RATE > 0 then
  function delay()
    local now = now_ms()
    start = start or now
    local due = start + asked * 1000 / RATE
    asked = asked + 1
    return math.max(0, math.floor(due - now + 0.5))
  end
end

function request()
  made = made + 1
  return HEAD .. made .. "&a=v" .. made % 50000 .. TAIL
end

function done(summary, latency)
  local errors = summary.errors
  io.stderr:write(string.format('{"requests": %d, "failed": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}',
    summary.requests - errors.status, errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def wrk_load(port: int, connections: int, seconds: float, rate: float, folder: Path) -> dict[str, Any]:
    """Pixels at an open rate, as http_load prints them; rate 0: each connection sends as soon as it has its answer.

    folder: where the script is written.
    """
    script = folder / "pixels-at-a-rate.lua"
    script.write_text(_constants(rate) + SCRIPT)
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--timeout", "5s", "-s", str(script),
        f"http://127.0.0.1:{port}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    told: dict[str, Any] = json.loads(done.stderr)
    # wrk stops in the middle: what was under way then is neither answered nor failed.
    return {**told, "due": max(told["requests"], int(rate * told["seconds"]) - connections)}


def _constants(rate: float) -> str:
    """Each run has ids of its own: an id that comes again is a repeat, and costs less."""
    head = f"GET /p.gif?k=demo&e=page_view&consent=all&url={PAGE}&id={os.urandom(4).hex()}-"
    tail = f" HTTP/1.1\r\n{HEADERS}{COOKIE}\r\n"
    # A string of JSON is one of Lua as well, as long as it is ASCII.
    return f"local RATE, HEAD, TAIL = {rate:g}, {json.dumps(head)}, {json.dumps(tail)}\n"
