"""Runs in the client's network namespace: signs in at the cluster IP and times pages, or waits for a new master.

``python web_visitor.py URL USER PASSWORD_FILE pages N`` or ``... takeover LIMIT_S``; one JSON line a finding. Speaks HTTP
by the standard library, so that it is quick to start.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

_PATHS = ("/", "/cluster", "/status", "/events", "/jobs", "/users")
_TIMEOUT_S = 1.0
_PAUSE_S = 0.02
_SERVED = re.compile(r"served by (\S+?)<|von (\S+?) bedient")


class Visitor:
    """One browser's worth of HTTP."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).hostname or ""
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE  # the lab's certificate is its own
        self._cookie = ""
        self._wire: http.client.HTTPSConnection | None = None

    def ask(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        """One request on a connection that stays; status and text.

        Raises:
            OSError, http.client.HTTPException: it did not work.
        """
        if self._wire is None:
            self._wire = http.client.HTTPSConnection(self._host, timeout=_TIMEOUT_S, context=self._tls)
        headers = {"Cookie": self._cookie, "Accept-Language": "en"}
        if body:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{self._host}"}
        try:
            self._wire.request(method, path, body or None, headers)
            answer = self._wire.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self._wire.close()
            self._wire = None
            raise
        for value in answer.headers.get_all("Set-Cookie") or ():
            self._cookie = value.split(";")[0]
        return answer.status, text

    def sign_in(self, user: str, password: str) -> None:
        """Sign in.

        Raises:
            RuntimeError: refused.
        """
        status, _ = self.ask("POST", "/login", urlencode({"name": user, "password": password}))
        if status != 303:
            raise RuntimeError(f"signing in: status {status}")


def pages(visitor: Visitor, number: int) -> None:
    """Time pages in turn; the first page with all it needs."""
    _, html = visitor.ask("GET", "/")
    parts = sorted(set(re.findall(r'(?:href|src)="(/static/[^"]+)"', html)))
    size = len(html.encode()) + sum(len(visitor.ask("GET", part)[1].encode()) for part in parts)
    print(json.dumps({"first_page_bytes": size}))
    for turn in range(number):
        path = _PATHS[turn % len(_PATHS)]
        begun = time.perf_counter()
        status, _ = visitor.ask("GET", path)
        print(json.dumps({"path": path, "status": status, "ms": (time.perf_counter() - begun) * 1000}))


def takeover(visitor: Visitor, limit_s: float) -> None:
    """Say who serves, again and again, until it is another."""
    first, deadline = "", time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            status, html = visitor.ask("GET", "/")
        except (OSError, http.client.HTTPException):
            continue
        found = _SERVED.search(html)
        name = (found[1] or found[2]) if found else ""
        signed_in = status == 200
        if name and not first:
            first = name
            print(json.dumps({"serves": name}), flush=True)
        elif name and name != first:
            print(json.dumps({"serves": name, "at_s": time.monotonic(), "signed_in": signed_in}), flush=True)
            return
        elif not signed_in:
            print(json.dumps({"status": status}), flush=True)
        time.sleep(_PAUSE_S)


def main() -> None:
    """Read the arguments."""
    url, user, place, what, number = sys.argv[1:6]
    visitor = Visitor(url)
    visitor.sign_in(user, Path(place).read_text().strip())
    if what == "pages":
        pages(visitor, int(number))
    else:
        takeover(visitor, float(number))


if __name__ == "__main__":
    main()
