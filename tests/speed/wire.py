"""nginx ingestion beside a bare nginx: CPU of a pixel interleaved with CPU of a GIF, and the follower's a line."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

import psutil

from tests.journeys.follower import Follower
from tests.nginx_edge import NginxEdge
from tests.platform import Platform, await_that
from tests.speed.machine import cpu_seconds, nginx

Figures = dict[str, float]
CONNECTIONS = 64
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
# Each request with an id of its own, as a page's pixel would be.
SCRIPT = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/p.gif?k=demo&e=page_view&consent=all&url=https%3A%2F%2Fshop.example%2Fproducts%2F17%2F"
    .. "item.html%3Futm_source%3Dmail%26utm_campaign%3Dc3&id=" .. os.time() .. "-" .. n)
end
"""


def wire(platform: Platform, turns: int = 8, seconds: float = 2) -> Figures:
    """nginx with our configuration and `logs follow` beside it, interleaved with nginx that only answers and logs.

    The follower works through both turns, so that both have the same neighbour. Nothing where nginx or wrk is missing.
    """
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if binary is None or shutil.which("wrk") is None:
        print("  left out: nginx or wrk is not installed")
        return {}
    script = platform.folder / "pixels.lua"
    script.write_text(SCRIPT)
    edge = NginxEdge(Path(binary), platform.folder / "wire", ["demo"])
    follower = Follower(
        platform, platform.folder, edge.queue, "--format", "fairpixel-pixel", "--remove-acknowledged",
        "--nginx-pid", str(edge.pid_file), "--rotate-mb", "64",
    )  # fmt: skip
    edge.start()
    follower.start()
    try:
        with nginx(Path(platform.env["FAIRPIXEL_DATA"])) as reference:
            assert reference is not None
            (plain,) = reference[0].children()
            (ours,) = edge.workers()
            _load(script, edge.port, 1)
            _load(script, reference[1], 1)
            answered, pairs, rates = 0, [], []
            for _ in range(turns):
                pixel, count = _cost(script, ours, edge.port, seconds)
                gif, _count = _cost(script, plain.pid, reference[1], seconds)
                answered += count
                pairs.append((pixel, gif))
                rates.append(count / seconds)
        edge.stop()
        process = psutil.Process(follower.pid)
        await_that(
            lambda: not edge.queue.exists() or not edge.queue.stat().st_size, "the queue is empty", 300
        )
        used = cpu_seconds(process)
    finally:
        edge.stop()
        follower.stop()
    lines = int(re.findall(r"([\d,]+) accepted", follower.printed.read_text())[-1].replace(",", ""))
    return {
        "wire_us_per_pixel": median(pixel for pixel, _ in pairs),
        "wire_plain_us_per_gif": median(gif for _, gif in pairs),
        "wire_over_nginx": median(pixel / gif for pixel, gif in pairs),
        "wire_pixels_per_second": median(rates),
        "wire_follow_us_per_line": used / lines * 1e6,
        "wire_lost": max(0, answered - lines),
    }


def _cost(script: Path, pid: int, port: int, seconds: float) -> tuple[float, int]:
    """CPU microseconds a request of one process by the scheduler's own account, and how many were answered."""
    before = _cpu_ns(pid)
    count = _load(script, port, seconds)
    return (_cpu_ns(pid) - before) / count / 1_000, count


def _cpu_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _load(script: Path, port: int, seconds: float) -> int:
    """Requests answered with 200."""
    command = [
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}", "-s", str(script), "-H", f"User-Agent: {AGENT}",
        "-H", "Referer: https://shop.example/", "-H", "Accept: image/*", f"http://127.0.0.1:{port}",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    assert "Non-2xx" not in said, said
    found = re.search(r"(\d+) requests in", said)
    assert found is not None
    time.sleep(0.05)  # what was under way when wrk stopped
    return int(found[1])
