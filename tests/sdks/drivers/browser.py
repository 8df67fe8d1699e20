"""Browser SDKs in a real Chromium, one page each: jobs as JSON on the first line of input, ids on the first of output.

The pages stay open, as a visitor's would, until the input ends: most of these SDKs do not say when all is delivered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Browser, async_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-blink-features=AutomationControlled",
]  # fmt: skip
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
)
SEND_SECONDS_MAX = 100
START_PAGE = b"<!doctype html><link rel=icon href=data:,><title>A shop</title><h1>A shop</h1>"


async def main(chromium: str, port: int, folder: Path) -> None:
    """folder: holds node_modules and pages."""
    jobs: dict[str, dict[str, Any]] = json.loads(await asyncio.to_thread(sys.stdin.readline))
    runner = web.AppRunner(shop(folder))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS, headless=True)
        sent = await asyncio.gather(*(send(browser, port, name, job) for name, job in jobs.items()))
        print(json.dumps(dict(zip(jobs, sent, strict=True))), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await browser.close()
    await runner.cleanup()


def shop(folder: Path) -> web.Application:
    """The pages' own server: an empty page, our modules, and the SDKs as npm brings them."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path == "/":
            return web.Response(body=START_PAGE, content_type="text/html")
        path = folder / request.match_info["path"]
        if not path.suffix:
            path = path.with_suffix(".js")  # what a bundler would do
        kind = "text/javascript" if path.suffix in (".js", ".mjs") else "application/octet-stream"
        return web.Response(body=path.read_bytes(), content_type=kind)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    return app


async def send(browser: Browser, port: int, name: str, job: dict[str, Any]) -> list[str]:
    """Open a page of its own for an SDK and let it send; what the page says ends up in our error output."""
    page = await (await browser.new_context(user_agent=AGENT)).new_page()
    page.on("console", lambda message: print(f"{name}: {message.text[:300]}", file=sys.stderr))
    page.on("pageerror", lambda error: print(f"{name}: {str(error)[:300]}", file=sys.stderr))
    await page.goto(f"http://127.0.0.1:{port}/")
    scripts = await page.evaluate(f"import('/pages/{job['page']}.mjs').then(module => module.scripts)")
    for script in scripts:
        await page.add_script_tag(url=f"/node_modules/{script}")
    sending = page.evaluate(
        f"job => import('/pages/{job['page']}.mjs').then(module => module.send(job))", job
    )
    try:
        return list(await asyncio.wait_for(sending, SEND_SECONDS_MAX))
    except Exception as error:
        print(f"{name}: {str(error)[:300]}", file=sys.stderr)
        return []


asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
