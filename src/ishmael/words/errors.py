"""Errors by whose fault they are: each has a code, one sentence, and a hint that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that stands against a request.

    Args:
        field: name of the input it belongs to (``cluster_ip``), or ``""`` when it belongs to none.
        code: stable name of the finding, kebab-case (``same-host-name``).
        message: one sentence for the admin.
        hint: what to do about it.
        overridable: whether the admin may go on in spite of it.
        whose: ``request``, ``peer`` or ``host``, as the error classes below.
    """

    field: str
    code: str
    message: str
    hint: str
    overridable: bool = False
    whose: str = "request"


class IshmaelError(Exception):
    """Base of all errors that are shown to a person.

    Args:
        code: stable kebab-case name.
        message: one sentence.
        hint: what to do.
        findings: all single findings behind it, if there are several.
    """

    exit_code = 70
    whose = "ishmael"

    def __init__(self, code: str, message: str, hint: str = "", findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.findings = findings


class RequestRefused(IshmaelError):
    """The caller's: what was asked cannot be done, and nothing was changed."""

    exit_code = 3
    whose = "request"


class PeerFault(IshmaelError):
    """The other node's: unreachable, of another version, or answering nonsense."""

    exit_code = 4
    whose = "peer"


class HostFault(IshmaelError):
    """This machine's: a disk, a service, or a program that is missing or failing."""

    exit_code = 5
    whose = "host"


class Bug(IshmaelError):
    """Ours: something that cannot happen did."""

    exit_code = 70
    whose = "ishmael"


def refusal(findings: Sequence[Finding]) -> IshmaelError:
    """One error for all findings that stand: the peer's or the host's when all are theirs, else the caller's.

    Args:
        findings: at least one.
    """
    first, whose = findings[0], {finding.whose for finding in findings}
    kinds: dict[str, type[IshmaelError]] = {"peer": PeerFault, "host": HostFault}
    kind = kinds.get(first.whose, RequestRefused) if len(whose) == 1 else RequestRefused
    return kind(first.code, first.message, first.hint, tuple(findings))


EXIT_CODES: dict[int, str] = {
    0: "done",
    2: "usage",
    3: "refused, nothing changed",
    4: "the other node's fault",
    5: "this machine's fault",
    70: "a bug in Ishmael",
}
