"""What should work on a machine before it becomes the master of a phone system; the admin may go on without.

A service that is set up here is looked at with its own checker, by its units, and by what it answers; one that is not, as far
as the machine has one of its own.
"""

from __future__ import annotations

from typing import Any

from ishmael.manager.appliance import kept, placing
from ishmael.manager.appliance.shape import Service
from ishmael.manager.appliance.smarthost import smarthost_trouble
from ishmael.manager.ports.hands import Hands
from ishmael.manager.ports.surroundings import Service as Seen
from ishmael.words.errors import Finding, IshmaelError

_WANTED = {
    "dns": {"service": "dns", "code": "dns-silent"},
    "clock": {"service": "ntp", "code": "clock-not-in-step"},
    "mail": {"service": "mail", "code": "mail-not-accepted"},
    "fax": {"service": "fax", "code": "fax-not-set-up"},
}


def check_preconditions(hands: Hands) -> list[Finding]:
    """A finding for each service that does not work."""
    findings = []
    for seen in hands.surroundings.services():
        wanted = _WANTED[seen.item]
        service = kept.SERVICES[wanted["service"]]
        trouble = _trouble(hands, service, seen)
        if trouble:
            trouble = trouble if trouble.endswith(".") else f"{trouble}."
            message, name = f"{service.about.title} does not work on this machine: {trouble}", service.about.name
            hint = f"Set it up: ishmael services set {name} (in the browser: Services); or go on without."
            findings.append(Finding("", wanted["code"], message, hint, overridable=True, whose="host"))
    return findings


def _trouble(hands: Hands, service: Service, seen: Seen) -> str:
    """Why it does not work; empty when it does."""
    try:
        values = kept.settings(hands, service)
        if not values["enabled"]:
            return "" if seen.works else seen.said
        found = placing.objections(hands, service, placing.meant(hands, service))
        if found:
            return found[0].message
        down = next((unit for unit in service.about.units if not hands.services.active(unit)), None)
        return f"{down} does not run" if down else _answer(hands, service, values, seen)
    except IshmaelError as error:
        return error.message


def _answer(hands: Hands, service: Service, values: dict[str, Any], seen: Seen) -> str:
    """What is wrong with what it answers where telephones will ask it."""
    own = kept.place(hands).address
    if seen.item == "dns":
        # Its own name is asked for: this machine may well ask others for everything else.
        name = f"{values['name']}.{values['domain']}"
        return "" if hands.surroundings.address_of(own, name) == own else f"{own} does not tell the address of {name}"
    if seen.item == "clock" and not hands.surroundings.tells_time(own):
        return f"{own} does not tell the time"
    if seen.item == "mail":
        _, trouble = smarthost_trouble(hands, values, kept.secret(hands, service))
        if trouble:
            return trouble
    return "" if seen.works else seen.said
