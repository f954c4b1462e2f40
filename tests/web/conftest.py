"""A lab that is not formed yet, and a browser on its telephone network."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

ISHMAEL = Path(sys.executable).with_name("ishmael")
PASSWORD = "correct horse battery"
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """A lab by name, driven through the command line."""

    name: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`ishmael lab WORDS`, whatever it ends with."""
        environment = os.environ | {"ISHMAEL_LAB": self.name}
        return subprocess.run(
            [ISHMAEL, "lab", *words], env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    def json(self, *words: str) -> dict[str, Any]:
        """`ishmael lab WORDS --json`, which must succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def sh(self, node: str, script: str) -> str:
        """A shell script in a node, which must succeed."""
        done = self.run("exec", node, "--timeout", "60", "--", "sh", "-c", script)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def client(self, *words: str) -> str:
        """`curl WORDS` on the lab's client, which must succeed; only what `--write-out` says when that is given."""
        netns = self.json("status")["client_netns"]
        outputs = sum(word.startswith("https://") for word in words) * ["--output", "/dev/null"]
        curl = ["curl", "--silent", "--show-error", "--insecure", "--max-time", "10"]
        command = ["ip", "netns", "exec", netns, *curl, *(outputs if "--write-out" in words else []), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def status(self, node: str) -> dict[str, Any]:
        """`ishmael status --json` of a node."""
        return dict(json.loads(self.sh(node, "ishmael status --json")))


@dataclass
class Visitor:
    """Somebody with a browser; what went wrong in it is kept.

    Args:
        context: one browser profile.
        problems: console errors, failed scripts, and requests to other hosts.
    """

    context: BrowserContext
    problems: list[str] = field(default_factory=list)

    def page(self, hosts: tuple[str, ...]) -> Page:
        """A page that may only ask these hosts."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))

        def asked(url: str) -> None:
            if not url.startswith((*(f"https://{host}/" for host in hosts), "data:", "blob:")):
                self.problems.append(f"request: {url}")

        page.on("request", lambda request: asked(request.url))
        page.on(
            "console",
            lambda message: self.problems.append(f"console: {message.text}") if _is_error(message) else None,
        )
        return page


def _is_error(message: Any) -> bool:
    """An error that is ours: the browser also complains about every answer of 4xx, and about a server that is gone."""
    return message.type == "error" and "Failed to load resource" not in message.text


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two nodes with the package, each alone."""
    lab = Lab("testweb")
    lab.run("down")
    try:
        lab.json("up")
        yield lab
    finally:
        done = lab.run("down")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What drives browsers."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def near(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium on this machine, for pages that need no nodes."""
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(_FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browser(lab: Lab, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium, started in the network namespace of the lab's client."""
    netns = lab.json("status")["client_netns"]
    starter = tmp_path_factory.mktemp("browser") / "chromium"
    starter.write_text(f'#!/bin/sh\nexec ip netns exec {netns} /usr/bin/chromium "$@"\n')
    starter.chmod(starter.stat().st_mode | stat.S_IXUSR)
    browser = playwright.chromium.launch(executable_path=str(starter), args=list(_FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def visitor(browser: Browser) -> Iterator[Visitor]:
    """An admin who speaks English and accepts the certificate once."""
    context = browser.new_context(ignore_https_errors=True, locale="en-GB", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30000)
    expect.set_options(timeout=20_000)
    yield Visitor(context)
    context.close()
