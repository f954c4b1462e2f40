"""Apply service: change the settings of one service, checked by the service itself, undone when it does not come up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.appliance import by_hand, kept, own, placing
from ishmael.manager.appliance.shape import File, Service, read
from ishmael.manager.appliance.smarthost import smarthost_trouble
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.words import places
from ishmael.words.errors import Finding, IshmaelError, RequestRefused

_SERVING = placing.SERVING
KEEP, TAKE_OVER, DROP = "keep", "take-over", "drop"
"""What becomes of lines of the admin's own: they stay as they are, or what was changed by hand is taken over, or all go."""


class ApplyService:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: service; set, a list of NAME=VALUE; optional password_file, a file of this node with the new password, and
            own_lines: ``keep``, ``take-over`` or ``drop``.
        notes: what the job remembers.
    """

    name = "apply-service"
    undoes = True

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        name, self._set = given.text("service"), given.texts("set")
        self._password_file = given.text("password_file", "")
        self._own_lines = given.text("own_lines", KEEP)
        given.close()
        self._service: Service = kept.named(name)

    # What stands against it

    def _values(self) -> tuple[dict[str, Any], list[Finding]]:
        raw = dict(pair.split("=", 1) for pair in self._set if "=" in pair)
        values, findings = read(self._service.about, raw, kept.settings(self._hands, self._service))
        wrong = [pair for pair in self._set if "=" not in pair]
        for pair in wrong:
            findings.append(Finding("set", "setting-invalid", f"{pair[:64]!r} is not NAME=VALUE.", "Write NAME=VALUE."))
        return values, findings

    def _secret(self) -> str:
        if not self._password_file:
            return kept.secret(self._hands, self._service)
        data = self._hands.files.read(self._password_file)
        text = (data or b"").decode(errors="replace").strip()
        if not text or "\n" in text:
            message = f"{self._password_file} holds no password of one line."
            raise RequestRefused("password-unreadable", message, "Write the password alone into a file of this node.")
        return text

    def check(self) -> list[Finding]:
        """All findings; nothing is touched."""
        findings = self._not_here() + self._not_so()
        if findings:
            return findings
        values, findings = self._values()
        place = kept.place(self._hands)
        found = self._service.check(values, place)
        # What is missing may be missing while the service is off; what is wrong is wrong at any time.
        findings += [finding for finding in found if values["enabled"] or finding.code == "setting-invalid"]
        if findings:
            return findings
        try:
            secret = self._secret()
        except RequestRefused as error:
            return [Finding("password_file", error.code, error.message, error.hint)]
        files = placing.wanted(self._service, values, place, secret, self._own(values))
        findings = placing.objections(self._hands, self._service, files) + self._login(values)
        for path in kept.changed_by_hand(self._hands, self._service) if self._own_lines != TAKE_OVER else ():
            message = f"{path} was changed by hand; what is written there would be lost."
            hint = (
                f"Take it over first (ishmael services take-over {self._service.about.name}); "
                "or go on to put back what the settings say."
            )
            findings.append(Finding("", "changed-by-hand", message, hint, overridable=True))
        return findings

    def _not_here(self) -> list[Finding]:
        """A slave's settings are the master's; only to put its files back is its own affair."""
        role = machine.keeper_role(self._hands)
        clustered = self._hands.files.read(places.SETTINGS) is not None
        changes = bool(self._set or self._password_file or self._own_lines != KEEP)
        if not clustered or role in _SERVING or not changes:
            return []
        message = f"This node is {role or 'not reached'}: services are changed on the master, and follow from there."
        return [Finding("", "not-master", message, "Run it on the master; see `ishmael status`.")]

    def _not_so(self) -> list[Finding]:
        """What stands against that wish about lines of the admin's own."""
        name, title = self._service.about.name, self._service.about.title
        if self._own_lines not in (KEEP, TAKE_OVER, DROP):
            message = f"own_lines is {self._own_lines[:64]!r}."
            return [Finding("own_lines", "setting-invalid", message, f"One of: {KEEP}, {TAKE_OVER}, {DROP}.")]
        if self._own_lines == DROP and not kept.own_lines(self._hands, self._service):
            message = f"Nothing was taken over into the files of {title}."
            return [Finding("own_lines", "no-own-lines", message, f"See: ishmael services show {name}")]
        if self._own_lines != TAKE_OVER:
            return []
        changed = by_hand.by_hand(self._hands, self._service)
        if not changed:
            message = f"No file of {title} was changed by hand."
            return [Finding("own_lines", "nothing-by-hand", message, "See: ishmael services list")]
        hint = f"Put it back: ishmael services put-back {name}"
        return [
            Finding("own_lines", "not-to-be-taken", f"{each.path} cannot be taken over: {each.against}.", hint)
            for each in changed if each.against
        ]  # fmt: skip

    def _own(self, values: Mapping[str, Any]) -> own.Own:
        """Lines of the admin's own as they are meant from now on."""
        noted = self._notes.get("own")
        if noted is not None:
            return own.from_json(noted)
        if self._own_lines == TAKE_OVER:
            return by_hand.taken_over(self._hands, self._service, values)
        return {} if self._own_lines == DROP else kept.own_lines(self._hands, self._service)

    def _login(self, values: Mapping[str, Any]) -> list[Finding]:
        changed = self._set or self._password_file
        if self._service.about.name != "mail" or not values["enabled"] or not changed:
            return []
        field, message = smarthost_trouble(self._hands, values, self._secret() if values["user"] else "")
        if not message:
            return []
        hint = "Mail would wait until it works. Correct it, or go on in spite of it."
        return [Finding(field, "smarthost-fails", message, hint, overridable=True)]

    def facts(self) -> Mapping[str, Any]:
        """The difference, readable."""
        values, findings = self._values()
        if findings:
            return {}
        try:
            files = self._all(values)
        except IshmaelError:
            return {}
        gone = placing.gone(self._hands, self._service, files)
        diff = kept.difference(self._hands, files, gone)
        if self._own_lines == TAKE_OVER:
            # The files are as they are meant already: what is agreed to is how they differ from what was.
            diff += "".join(each.difference for each in by_hand.by_hand(self._hands, self._service))
        return {"diff": diff}

    # What is done

    def _all(self, values: Mapping[str, Any]) -> dict[str, File]:
        """Settings, password and the files made of them."""
        secret = self._secret()
        settings = {kept.settings_path(self._service): File(kept.to_toml(values))}
        if secret:
            settings[kept.secret_path(self._service)] = File(secret.encode() + b"\n", 0o600)
        wanted = placing.wanted(self._service, values, kept.place(self._hands), secret, self._own(values))
        return settings | wanted

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        return [
            Step("keep what is there", lambda: self._notes.get("kept") is True, self._keep, self._forget),
            Step(
                "put the new configuration in place", lambda: self._notes.get("placed") is True, self._place, self._back
            ),
            # Taken back with the step before: the profile follows from the settings, which that one restores.
            Step("let it run with the master's role", lambda: self._notes.get("joined") is True, self._join),
        ]

    def _before(self) -> str:
        return f"{places.SERVICES_UNDO}/{self._service.about.name}.json"

    def _keep(self) -> None:
        values, _ = self._values()
        self._notes.put("values", {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})
        self._notes.put("own", own.to_json(self._own(values)).decode())
        paths = [*self._all(values), kept.own_path(self._service), places.SERVICES_NOTES, places.SERVICES_BEFORE]
        paths += [
            p for p in kept.notes(self._hands).get(self._service.about.name, {}).get("files", {}) if p not in paths
        ]
        files = {p: (self._hands.files.read(p), self._hands.files.mode(p) or 0o644) for p in paths}
        self._hands.files.write(self._before(), kept.pack(files), 0o600)
        active = [unit for unit in self._service.about.units if self._hands.services.active(unit)]
        self._notes.put("was_active", active)
        self._notes.put("kept", True)

    def _forget(self) -> None:
        self._hands.files.remove(self._before())

    def _noted(self) -> dict[str, Any]:
        return read(self._service.about, self._notes.get("values") or {}, {})[0]

    def _place(self) -> None:
        hands, values = self._hands, self._noted()
        secret = self._secret()
        if secret and self._password_file:
            hands.files.write(kept.secret_path(self._service), secret.encode() + b"\n", 0o600)
        settings, lines = kept.to_toml(values), self._own(values)
        if hands.files.read(kept.settings_path(self._service)) != settings:
            hands.files.write(kept.settings_path(self._service), settings, 0o644)
        self._write_own(lines)
        placing.put(hands, self._service, placing.wanted(self._service, values, kept.place(hands), secret, lines))
        kept.note(hands, self._service, trouble="", refused="")
        placing.switch(hands, self._service, values, changed=True)
        self._notes.put("placed", True)

    def _write_own(self, lines: own.Own) -> None:
        path, files = kept.own_path(self._service), self._hands.files
        wanted = own.to_json(lines) if lines else None
        if wanted is None:
            files.remove(path)
        elif files.read(path) != wanted:
            files.write(path, wanted, 0o644)

    def _back(self) -> None:
        hands = self._hands
        raw = hands.files.read(self._before())
        if raw is None:
            return
        for path, was in kept.unpack(raw).items():
            placing.give_back(hands, path, was)
        values = kept.settings(hands, self._service)
        for unit in self._service.about.units:
            if unit not in (self._notes.get("was_active") or []) and hands.services.exists(unit):
                hands.services.stop(unit)
        self._join()
        placing.switch(hands, self._service, values, changed=True)

    def _join(self) -> None:
        raw = self._hands.files.read(places.PROFILE)
        whole = kept.with_services(self._hands, raw.decode()).encode() if raw is not None else b""
        # A job that was cut after the file was written, before the keeper was told, tells it now.
        if raw is not None and (whole.strip() != raw.strip() or self._notes.get("joining")):
            self._notes.put("joining", True)
            self._hands.files.write(places.PROFILE, whole, 0o644)
            self._hands.keeper.reload()
        self._notes.put("joined", True)

    def result(self) -> Mapping[str, Any]:
        """What holds now."""
        self._forget()
        if self._password_file.startswith(f"{places.SERVICES_PASSWORDS}/"):
            self._hands.files.remove(self._password_file)
        return {"service": self._service.about.name, "settings": self._notes.get("values")}
