"""What should work on a machine before it becomes the master of a phone system; the admin may go on without."""

from __future__ import annotations

from ishmael.manager.ports.hands import Hands
from ishmael.words.errors import Finding

_WANTED = {
    "dns": {
        "code": "dns-silent", "what": "DNS does not work", "hint": "Set up the name servers (/etc/resolv.conf)",
    },
    "clock": {
        "code": "clock-not-in-step", "what": "The clock is not kept in step", "hint": "Set up NTP (chrony)",
    },
    "mail": {
        "code": "mail-not-accepted", "what": "E-mail does not work", "hint": "Set up the mail server and its smarthost",
    },
    "fax": {
        "code": "fax-not-set-up", "what": "The fax server is not set up", "hint": "Set it up, also when it is not used",
    },
}  # fmt: skip


def check_preconditions(hands: Hands) -> list[Finding]:
    """A finding for each service that does not work."""
    findings = []
    for service in hands.surroundings.services():
        wanted = _WANTED[service.item]
        if not service.works:
            message, hint = f"{wanted['what']}: {service.said}.", f"{wanted['hint']}; or go on without."
            findings.append(Finding("", str(wanted["code"]), message, hint, overridable=True, whose="host"))
    return findings
