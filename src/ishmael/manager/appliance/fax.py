"""Fax: HylaFAX with what every fax server has to know of itself. It runs without a modem too, and then waits for one."""

from __future__ import annotations

import re

from ishmael.manager.appliance.shape import ENABLED, About, Field, File, Place, Values, invalid, needed
from ishmael.words.errors import Finding

CONF = "/etc/hylafax/config"
_CLASSES = ("Class1", "Class1.0", "Class2", "Class2.0", "Class2.1")
_NUMBER = re.compile(r"\+[1-9][0-9 .-]{3,18}")
_CODE = re.compile(r"[0-9]{1,6}")
_MODEM = re.compile(r"tty[A-Za-z]{1,8}[0-9]{0,3}")
_IDENTIFICATION_MAX = 20


class Fax:
    """The service."""

    about = About(
        name="fax",
        title="Fax",
        program="/usr/sbin/faxq",
        package="hylafax-server",
        fields=(
            ENABLED,
            Field("number", "own number, with country code, such as +49 30 1234567"),
            Field("country_code", "country code, such as 49"),
            Field("area_code", "area code, without a leading zero"),
            Field("identification", "name on top of sent pages, at most 20 characters"),
            Field("modem", "device below /dev, such as ttyIAX0; empty: none yet"),
            Field("modem_class", f"one of {', '.join(_CLASSES)}", "Class1"),
        ),
        units=("faxq.service", "hfaxd.service"),
        enable=("faxq.service", "hfaxd.service"),
        with_master=True,
    )

    def check(self, values: Values, place: Place) -> list[Finding]:
        """Numbers that can be dialled, and texts that fit."""
        del place
        findings = []
        if not values["number"]:
            findings.append(needed("number", "the other side sees it"))
        elif not _NUMBER.fullmatch(values["number"]):
            message = f"{values['number']!r} is no fax number."
            findings.append(invalid("number", message, "Write it as +49 30 1234567."))
        findings += [
            invalid(name, f"{values[name]!r} is no {name.replace('_', ' ')}.", "Digits only.")
            for name in ("country_code", "area_code")
            if not _CODE.fullmatch(values[name])
        ]
        if len(values["identification"]) > _IDENTIFICATION_MAX or '"' in values["identification"]:
            hint = f"At most {_IDENTIFICATION_MAX} characters without quotes."
            findings.append(invalid("identification", "The identification does not fit on a page.", hint))
        if values["modem"] and not _MODEM.fullmatch(values["modem"]):
            findings.append(invalid("modem", f"{values['modem']!r} is no modem.", "Its name below /dev: ttyS0."))
        if values["modem_class"] not in _CLASSES:
            message = f"modem_class is {values['modem_class']!r}."
            findings.append(invalid("modem_class", message, f"One of: {', '.join(_CLASSES)}."))
        return findings

    def files(self, values: Values, place: Place, secret: str) -> dict[str, File]:
        """The server's file, and one for its modem."""
        del place, secret
        head = "# Written by Ishmael; change it with `ishmael services set fax`.\n"
        own = (
            f"CountryCode:\t\t{values['country_code']}\nAreaCode:\t\t{values['area_code']}\n"
            "LongDistancePrefix:\t0\nInternationalPrefix:\t00\nDialStringRules:\tetc/dialrules\n"
        )
        made = {CONF: File((head + "LogFacility:\t\tdaemon\n" + own).encode())}
        if values["modem"]:
            modem = (
                f'{own}FAXNumber:\t\t{values["number"]}\nLocalIdentifier:\t"{values["identification"]}"\n'
                f"ModemType:\t\t{values['modem_class']}\nRingsBeforeAnswer:\t1\nRecvFileMode:\t\t0600\n"
            )
            made[f"{CONF}.{values['modem']}"] = File((head + modem).encode())
        return made
