"""Mails the admin about every change. The event list of both nodes is the queue: what no node has told of is still to tell.

So the queue survives a restart, a failover and the loss of either node; the survivor goes on where the other stopped.
"""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any

from ishmael.manager.appliance import kept
from ishmael.manager.ports.events import Events
from ishmael.manager.ports.hands import Hands
from ishmael.manager.watch.cluster import Known
from ishmael.manager.watch.scheduler import now_text
from ishmael.manager.watch.texts import KINDS, mail_text
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError, RequestRefused
from ishmael.words.monitoring import Mail

log = logging.getLogger(__name__)
_EVENTS, _ONE_MAIL = 1000, 40
_QUIET_S, _BUNDLE_S, _SURVIVOR_S = 1.5, 5.0, 60.0
_AHEAD_S = 60.0
_PAUSE_S_MIN, _PAUSE_S_MAX = 5.0, 60.0
_OLD = timedelta(hours=24)
_LIMIT_S = 15.0
_DONE_MAX = 3000
_OWN_SERVICE = "127.0.0.1"


class Mailer:
    """A background task.

    Args:
        hands: ports to write and tell with.
        known: role and monitoring file.
        events: the event list.
        reasons: what is not well now, as the lamp says it.
    """

    name = "mail"

    def __init__(
        self,
        hands: Hands,
        known: Known,
        events: Events,
        reasons: Callable[[], Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        self._hands, self._known, self._events, self._reasons = hands, known, events, reasons
        self._done: list[str] = []
        self._since = ""
        self._error, self._sent_at = "", ""

    def run(self, stop: threading.Event) -> None:
        """Send what is to be sent; after a failure try again later."""
        self._recall()
        pause_s = _PAUSE_S_MIN
        while not stop.wait(1.0):
            mail = self._mail()
            if not mail.host:
                continue
            self._begin()
            waiting = self.waiting()
            if not waiting or not self._is_time(waiting) or not self._is_ours(waiting):
                continue
            try:
                self._send_all(mail, waiting[:_ONE_MAIL])
                pause_s = _PAUSE_S_MIN
            except IshmaelError as error:
                self._error = f"{error.message} {error.hint}"
                log.warning("mail: %s; tried again in %.0f s", error.message, pause_s)
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    def _mail(self) -> Mail:
        """As it was set; without a smarthost of its own by this node's mail service, where that is on."""
        mail = self._known.monitoring().mail
        if mail.host:
            return mail
        with suppress(IshmaelError):
            if kept.settings(self._hands, kept.named("mail"))["enabled"]:
                return replace(mail, host=_OWN_SERVICE, port=25, security="none", user="", password="")
        return mail

    def _begin(self) -> None:
        """What happened before there was a smarthost is not told afterwards."""
        if not self._since:
            self._since = now_text()
            self._keep()

    def waiting(self) -> list[dict[str, Any]]:
        """Events that nobody was told of yet, oldest first."""
        found = self._events.newest(_EVENTS)
        told = set(self._done)
        for event in found:
            if event.get("kind") == "mail-sent":
                told.update(map(str, (event.get("facts") or {}).get("events", ())))
        oldest = max(self._since, (datetime.now(UTC) - _OLD).isoformat(timespec="milliseconds"))
        wanted = [
            event for event in found
            if event.get("kind") in KINDS and str(event.get("at")) >= oldest and str(event.get("id")) not in told
            and not (event.get("facts") or {}).get("maintenance")
        ]  # fmt: skip
        return sorted(wanted, key=lambda event: str(event["at"]))

    def _is_time(self, waiting: list[dict[str, Any]]) -> bool:
        newest_s, oldest_s = _age_s(waiting[-1]), _age_s(waiting[0])
        # From a clock that was ahead and has been put right: it does not wait until the time has come there.
        return newest_s >= _QUIET_S or oldest_s >= _BUNDLE_S or newest_s < -_AHEAD_S

    def _is_ours(self, waiting: list[dict[str, Any]]) -> bool:
        """The master sends; another node only when no master is heard for long."""
        seen = self._known.seen()
        if seen.side == "master":
            return True
        peer = seen.keeper.get("peer") or {}
        return not (seen.keeper.get("heard") and peer.get("role") == "master") and _age_s(waiting[0]) > _SURVIVOR_S

    def _send_all(self, mail: Mail, events: list[dict[str, Any]]) -> None:
        settings = self._known.seen().settings
        cluster = settings.cluster_name if settings is not None else self._hands.host.name()
        reasons = self._reasons() if self._reasons is not None else None
        subject, body = mail_text(events, self._events.newest(_EVENTS), cluster, mail.language, reasons)
        send(mail, self._to(mail), subject, body, self._hands.host.name())
        ids = [str(event["id"]) for event in events]
        self._done = (self._done + ids)[-_DONE_MAX:]
        self._error, self._sent_at = "", now_text()
        self._keep()
        # The other node is told, so that it does not tell again after a failover.
        with suppress(IshmaelError):
            self._hands.keeper.tell("mail-sent", f"A mail told of {len(ids)} events: {subject}"[:300], {"events": ids})

    def _to(self, mail: Mail) -> str:
        settings = self._known.seen().settings
        to = mail.to or (settings.email if settings is not None else "")
        if not to:
            raise RequestRefused("mail-no-address", "There is no address to mail to.", "ishmael mail set --to ADDRESS")
        return to

    def test(self) -> dict[str, Any]:
        """Send a test mail now.

        Raises:
            RequestRefused: no smarthost or no address is set.
            HostFault: the smarthost does not take it.
        """
        mail = self._mail()
        if not mail.host:
            hint = "ishmael mail set --host NAME, or ishmael services set mail"
            raise RequestRefused("mail-not-set-up", "No smarthost is set.", hint)
        to, name = self._to(mail), self._hands.host.name()
        german = mail.language == "de"
        subject = f"Testmail von {name}" if german else f"Test mail from {name}"
        body = "Ishmael kann Mails senden.\n" if german else "Ishmael can send mail.\n"
        begun = time.monotonic()
        send(mail, to, subject, body, name)
        return {"to": to, "host": mail.host, "took_ms": round((time.monotonic() - begun) * 1000, 1)}

    def report(self) -> dict[str, Any]:
        """What waits, and how the last try ended, or why nobody can be told."""
        self._known.monitoring()
        return {
            "waiting": len(self.waiting()) if self._since else 0,
            "error": self._known.monitoring_fault or self._error,
            "sent_at": self._sent_at or None,
        }

    def _keep(self) -> None:
        raw = {"schema": 1, "since": self._since, "done": self._done}
        self._hands.files.write(places.MAIL, json.dumps(raw).encode(), 0o600)

    def _recall(self) -> None:
        raw = self._hands.files.read(places.MAIL)
        if raw is not None:
            with suppress(ValueError, KeyError, TypeError):
                kept = json.loads(raw)
                self._since, self._done = str(kept["since"]), [str(each) for each in kept["done"]]


def _age_s(event: Mapping[str, Any]) -> float:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(event["at"]))).total_seconds()
    except ValueError:
        return _BUNDLE_S


def _message(mail: Mail, to: str, subject: str, body: str, host_name: str) -> EmailMessage:
    """Raises HostFault when a header will not take what is put in it, which would end the task that mails."""
    message = EmailMessage()
    try:
        message["Subject"], message["To"] = subject, to
        message["From"] = mail.sender or f"ishmael@{host_name}"
        message["Date"], message["Message-ID"] = format_datetime(datetime.now(UTC)), make_msgid(domain=host_name)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
    except (ValueError, IndexError) as error:
        hint = "Check the addresses: `ishmael mail show`, and email in /etc/ishmael/settings.toml."
        raise HostFault("mail-not-built", f"The mail cannot be written: {error}.", hint) from error
    return message


def send(mail: Mail, to: str, subject: str, body: str, host_name: str) -> None:
    """Hand one mail to the smarthost (RFC 5321, 3207, 4954).

    Raises:
        HostFault: it cannot be built or reached, or the smarthost does not take it.
    """
    message = _message(mail, to, subject, body, host_name)
    try:
        context = ssl.create_default_context()
        if mail.ca_file:
            context.load_verify_locations(mail.ca_file)
        kind = smtplib.SMTP_SSL if mail.security == "tls" else smtplib.SMTP
        options: dict[str, Any] = {"context": context} if mail.security == "tls" else {}
        with kind(mail.host, mail.port, timeout=_LIMIT_S, local_hostname=host_name, **options) as wire:
            if mail.security == "starttls":
                wire.starttls(context=context)
            if mail.user:
                wire.login(mail.user, mail.password)
            wire.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise HostFault(
            "mail-login", f"{mail.host} refuses the login of {mail.user}.", "Check user and password."
        ) from error
    except smtplib.SMTPException as error:
        said = str(error)[:200]
        raise HostFault(
            "mail-refused", f"{mail.host} does not take the mail: {said}.", "Ask who runs the smarthost."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a host name that cannot be encoded
        said = str(error)[:200]
        hint = "Check host, port, security, and the network."
        raise HostFault("mail-unreachable", f"{mail.host}:{mail.port} cannot be reached: {said}.", hint) from error
