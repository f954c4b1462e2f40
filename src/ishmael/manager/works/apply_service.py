"""Apply service: change the settings of one service, checked by the service itself, undone when it does not come up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.appliance import kept, placing
from ishmael.manager.appliance.shape import File, Service, read
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works import machine
from ishmael.manager.works.base import Arguments, Notes, Step
from ishmael.words import places
from ishmael.words.errors import Finding, IshmaelError, RequestRefused

_SERVING = placing.SERVING


class ApplyService:
    """The work.

    Args:
        hands: ports to look and act with.
        raw: service; set, a list of NAME=VALUE; optional password_file, a file of this node with the new password.
        notes: what the job remembers.
    """

    name = "apply-service"

    def __init__(self, hands: Hands, raw: Mapping[str, Any], notes: Notes) -> None:
        given = Arguments(raw)
        self._hands, self._notes = hands, notes
        name, self._set = given.text("service"), given.texts("set")
        self._password_file = given.text("password_file", "")
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
        role = machine.keeper_role(self._hands)
        if self._hands.files.read(places.SETTINGS) is not None and role not in _SERVING:
            message = (
                f"This node is {role or 'not reached'}: services are changed on the master, and follow from there."
            )
            return [Finding("", "not-master", message, "Run it on the master; see `ishmael status`.")]
        values, findings = self._values()
        place = kept.place(self._hands)
        found = self._service.check(values, place)
        # What is missing may be missing while the service is off; what is wrong is wrong at any time.
        findings += [finding for finding in found if values["enabled"] or finding.code == "setting-invalid"]
        if findings:
            return findings
        try:
            files = placing.wanted(self._service, values, place, self._secret())
        except RequestRefused as error:
            return [Finding("password_file", error.code, error.message, error.hint)]
        findings = placing.objections(self._hands, self._service, files) + self._login(values)
        for path in kept.changed_by_hand(self._hands, self._service):
            message = f"{path} was changed by hand; what is written there would be lost."
            hint = "Look at `ishmael services diff`; go on to put back what the settings say."
            findings.append(Finding("", "changed-by-hand", message, hint, overridable=True))
        return findings

    def _login(self, values: Mapping[str, Any]) -> list[Finding]:
        if self._service.about.name != "mail" or not values["enabled"]:
            return []
        login = (values["user"], self._secret() if values["user"] else "")
        trouble, said = self._hands.programs.login_trouble(
            values["smarthost"], values["port"], values["tls"], login, verify=values["verify"]
        )
        if not trouble:
            return []
        field, message = {
            "unknown": ("smarthost", f"There is no mail server {values['smarthost']}: {said}."),
            "login": ("user", f"{values['smarthost']} refuses the login: {said}."),
            "tls": ("tls", f"The line to {values['smarthost']} cannot be secured: {said}."),
        }.get(trouble, ("smarthost", f"{values['smarthost']} does not answer at port {values['port']}: {said}."))
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
        return {"diff": kept.difference(self._hands, files, gone)}

    # What is done

    def _all(self, values: Mapping[str, Any]) -> dict[str, File]:
        """Settings, password and the files made of them."""
        secret = self._secret()
        own = {kept.settings_path(self._service): File(kept.to_toml(values))}
        if secret:
            own[kept.secret_path(self._service)] = File(secret.encode() + b"\n", 0o600)
        return own | placing.wanted(self._service, values, kept.place(self._hands), secret)

    def steps(self) -> Sequence[Step]:
        """The steps in their order."""
        return [
            Step("keep what is there", lambda: self._notes.get("kept") is True, self._keep, self._forget),
            Step(
                "put the new configuration in place", lambda: self._notes.get("placed") is True, self._place, self._back
            ),
            Step("let it run with the master's role", self._joined, self._join, self._join),
        ]

    def _before(self) -> str:
        return f"{places.SERVICES_UNDO}/{self._service.about.name}.json"

    def _keep(self) -> None:
        values, _ = self._values()
        self._notes.put("values", {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()})
        paths = [*self._all(values), places.SERVICES_NOTES, places.SERVICES_BEFORE]
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
        hands.files.write(kept.settings_path(self._service), kept.to_toml(values), 0o644)
        placing.put(hands, self._service, placing.wanted(self._service, values, kept.place(hands), secret))
        kept.note(hands, self._service, trouble="", refused="")
        placing.switch(hands, self._service, values, changed=True)
        self._notes.put("placed", True)

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
        placing.switch(hands, self._service, values, changed=True)

    def _joined(self) -> bool:
        raw = self._hands.files.read(places.PROFILE)
        return raw is None or kept.with_services(self._hands, raw.decode()).strip() == raw.decode().strip()

    def _join(self) -> None:
        raw = self._hands.files.read(places.PROFILE)
        if raw is not None:
            self._hands.files.write(places.PROFILE, kept.with_services(self._hands, raw.decode()).encode(), 0o644)
            self._hands.keeper.reload()

    def result(self) -> Mapping[str, Any]:
        """What holds now."""
        self._forget()
        if self._password_file.startswith(f"{places.SERVICES_PASSWORDS}/"):
            self._hands.files.remove(self._password_file)
        return {"service": self._service.about.name, "settings": self._notes.get("values")}
