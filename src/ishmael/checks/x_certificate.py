"""X3: how long are the certificates of the web page and of the cluster's own good for?"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

from ishmael.checks.base import BOTH, Check, Result, Seen, critical, ok, warning

PLACES = ("/var/lib/ishmael-web/tls", "/etc/ishmael/tls", "/etc/ishmael/web")
_WARN_DAYS, _CRITICAL_DAYS = 21.0, 3.0


def probe(_seen: Seen) -> Result:
    """The one that ends first."""
    ends: list[tuple[float, str]] = []
    for path in (
        file for place in PLACES for file in sorted(Path(place).glob("*.pem")) + sorted(Path(place).glob("*.crt"))
    ):
        try:
            # CPython's own decoder of a certificate file; there is no public one in the standard library.
            shown: dict[str, Any] = ssl._ssl._test_decode_cert(str(path))  # type: ignore[attr-defined]
            ends.append((ssl.cert_time_to_seconds(str(shown["notAfter"])), str(path)))
        except (ssl.SSLError, KeyError, ValueError, OSError):
            continue
    if not ends:
        return ok("this node has no certificate yet")
    end, first = min(ends)
    days = (end - time.time()) / 86400
    judge = critical if days < _CRITICAL_DAYS else warning if days < _WARN_DAYS else ok
    return judge(f"{first} is good for {days:.0f} days", days=f"{days:.0f}")


CHECK = Check(
    "X3", "certificate", ("Certificate", "Zertifikat"), BOTH, probe,
    ("Renew the certificate of the web interface.", "Erneuern Sie das Zertifikat der Weboberfläche."),
    interval_s=3600, retry_s=60,
)  # fmt: skip
