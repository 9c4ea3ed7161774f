"""The site, built once, served on loopback, and looked at with Chromium."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@dataclass
class Site:
    folder: Path
    url: str
    build_seconds: float


@dataclass
class Seen:
    """What a page did in the background."""

    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.fail("The site's packages are missing.\nNext: make docs-test", pytrace=False)
    folder = tmp_path_factory.mktemp("site")
    began = time.monotonic()
    built = build(folder)
    seconds = time.monotonic() - began
    assert built.returncode == 0, built.stdout + built.stderr

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(folder, f"http://127.0.0.1:{server.server_port}/", seconds)
        server.shutdown()


def find_browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return Chromium's path."""
    found = find_browser()
    if found is None:
        pytest.fail(
            "No Chromium was found to look at the site with.\nNext: sudo apt-get install chromium", pytrace=False
        )
    return found


@pytest.fixture(scope="module")  # Playwright's event loop runs in this thread for as long as the fixture lives
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=chromium, args=arguments) as running:
            yield running


@pytest.fixture
def open_page(browser, site):
    """Open a page of the site; afterwards nothing may have gone wrong in it, nor have asked anyone but this machine."""
    contexts, seen = [], Seen()

    def opened(path: str = "", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        context.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.problems.append(str(error)))
        page.goto(site.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen.problems == []
    assert [url for url in seen.requests if not url.startswith((site.url, "data:", "blob:"))] == []
