"""What a mail says, in the admin's language. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ishmael.checks.catalogue import named
from ishmael.manager.story import stories
from ishmael.words.language import said

KINDS: dict[str, tuple[str, str]] = {
    "became-master": ("{node} is master now", "{node} ist jetzt Master"),
    "let-go": ("{node} stopped serving", "{node} hat den Dienst eingestellt"),
    "abandoned": ("{node} gave a takeover up", "{node} hat eine Übernahme abgebrochen"),
    "became-standby": ("{node} is on standby and must be re-added", "{node} ist im Standby und muss wieder aufgenommen werden"),
    "became-slave": ("{node} is slave now", "{node} ist jetzt Slave"),
    "nobody-serves": ("Nobody serves", "Niemand bedient die Telefone"),
    "stays-out": ("{node} takes no part", "{node} nimmt nicht teil"),
    "epoch-raised": ("{node} met a claim the other node does not hold", "{node} traf auf einen haltlosen Anspruch des anderen Knotens"),
    "cluster-link-lost": ("The nodes cannot talk to each other", "Die Knoten können nicht miteinander sprechen"),
    "link-changed": ("A link of {node} changed", "Eine Verbindung von {node} hat sich geändert"),
    "address-conflict": ("Another machine uses the cluster IP", "Eine fremde Maschine benutzt die Cluster-IP"),
    "address-failed": ("{node} cannot set the cluster IP", "{node} kann die Cluster-IP nicht setzen"),
    "corosync-lost": ("Corosync of {node} is gone", "Corosync auf {node} ist ausgefallen"),
    "record-not-saved": ("{node} cannot write its record", "{node} kann seinen Zustand nicht speichern"),
    "workload-failed": ("A service of {node} failed", "Ein Dienst von {node} ist fehlgeschlagen"),
    "slave-fit": ("The slave is fit", "Der Slave ist bereit"),
    "fence-failed": ("The power switch did not confirm", "Der Stromschalter hat nicht bestätigt"),
    "witness-off": ("The witness is gone", "Der Zeuge ist ausgefallen"),
    "witness-on": ("The witness is back", "Der Zeuge ist zurück"),
    "failover-withheld": ("{node} moves nothing: a failover check only notifies",
                          "{node} verlegt nichts: Eine Failover-Prüfung meldet nur"),
    "raid-handover": ("The RAID of {node} is critical: handing over", "Das RAID von {node} ist kritisch: Übergabe"),
    "salvage-kept": ("Data that only a joining node had was kept aside",
                     "Daten, die nur ein hinzugekommener Knoten hatte, wurden beiseitegelegt"),
    "service-failing": ("A service of {node} does not stay up", "Ein Dienst von {node} läuft nicht stabil"),
    "check-changed": ("{title} on {node}: {state}", "{title} auf {node}: {state}"),
    "check-flapping": ("{title} on {node} keeps changing", "{title} auf {node} wechselt ständig"),
    "check-acknowledged": ("A problem was acknowledged", "Ein Problem wurde bestätigt"),
    "maintenance-begun": ("Maintenance begins", "Wartung beginnt"),
    "maintenance-ended": ("Maintenance ends", "Wartung endet"),
}  # fmt: skip
_DO: dict[str, tuple[str, str]] = {
    "became-master": ("Find out what happened to the other node, then: ishmael re-add",
                      "Klären Sie, was mit dem anderen Knoten geschah, dann: ishmael re-add"),
    "became-standby": ("Repair what failed, then on the master: ishmael re-add",
                       "Beheben Sie den Fehler, dann auf dem Master: ishmael re-add"),
    "nobody-serves": ("Bring a node up now.", "Bringen Sie jetzt einen Knoten zum Laufen."),
    "failover-withheld": ("Decide: ishmael failover, or let the check move the services: ishmael notify-only --none",
                          "Entscheiden Sie: ishmael failover, oder die Prüfung wieder umschalten lassen: ishmael notify-only --none"),
    "salvage-kept": ("Look at it on the node that has it: ishmael salvage list",
                     "Auf dem Knoten ansehen, der es hat: ishmael salvage list"),
    "address-conflict": ("Take the cluster IP away from that machine at once.",
                         "Nehmen Sie dieser Maschine die Cluster-IP sofort weg."),
    "cluster-link-lost": ("Check UDP 5405 and 5406 between the nodes.", "Prüfen Sie UDP 5405 und 5406 zwischen den Knoten."),
}  # fmt: skip
_STATES = {"ok": "OK", "warning": "WARNUNG", "critical": "KRITISCH", "unknown": "UNBEKANNT"}


def headline(event: Mapping[str, Any], language: str) -> str:
    """One event in one line."""
    number, facts = int(language == "de"), event.get("facts") or {}
    state = str(facts.get("state", ""))
    check = named(str(facts.get("check", "")))
    words = {
        "node": event.get("node") or "?", "title": check.title[number] if check else facts.get("check", ""),
        "state": _STATES.get(state, state) if number else state.upper(),
    }  # fmt: skip
    return KINDS[str(event["kind"])][number].format(**words)


def mail_text(
    events: Sequence[Mapping[str, Any]],
    all_events: Sequence[Mapping[str, Any]],
    cluster: str,
    language: str,
    reasons: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[str, str]:
    """Subject and body of one mail about some events, oldest first.

    Args:
        events: what it tells of.
        all_events: what the story of a move is made of.
        cluster: its name.
        language: ``en`` or ``de``.
        reasons: of the lamp now, for what is open beside that; None when that is not known.
    """
    german = language == "de"
    last = {_whose(event): event for event in events}
    first = max((event for event in events if last[_whose(event)] is event), key=_weight)
    more = len(events) - 1
    subject = f"[{cluster}] {headline(first, language)}"
    if more:
        subject += f" (und {more} weitere)" if german else f" (and {more} more)"
    lines = ["Was geschah:" if german else "What happened:", ""]
    for event in events:
        facts = event.get("facts") or {}
        lines.append(f"{_time(event)}  {headline(event, language)}")
        lines.append(f"    {said(language, str(facts.get('output') or event.get('why')))}")
        advice = _advice(event, german)
        if advice:
            lines.append(f"    {'Zu tun' if german else 'What to do'}: {advice}")
    lines += _story(events, all_events, language)
    lines += _open(last, reasons, language)
    lines += [
        "",
        ("Stand: ishmael status, ishmael checks" if german else "How it is now: ishmael status, ishmael checks"),
        "",
    ]
    return subject, "\n".join(lines)


def _whose(event: Mapping[str, Any]) -> tuple[str, str]:
    """A later event of the same check on the same node says how that ended; other events stand for themselves."""
    check = str((event.get("facts") or {}).get("check", ""))
    return (check, str(event.get("node"))) if check else (str(event["kind"]), str(event.get("id")))


def _open(
    last: Mapping[tuple[str, str], Mapping[str, Any]], reasons: Sequence[Mapping[str, Any]] | None, language: str
) -> list[str]:
    """What else is not well, so that nobody has to conclude it from an OK that never came."""
    german = language == "de"
    if reasons is None:
        return []
    if not reasons:
        return ["", "Nichts ist offen: alle Prüfungen sind OK." if german else "Nothing is open: all checks are OK."]
    left = [one for one in reasons if (str(one["id"]), str(one["node"])) not in last and not one["acknowledged"]]
    lines = ["", "Außerdem offen:" if german else "Open beside that:", ""] if left else []
    for one in left:
        title, state = (
            (one["title_de"], _STATES.get(one["state"], one["state"]))
            if german
            else (one["title"], one["state"].upper())
        )
        lines.append(
            f"{title}{' auf ' if german else ' on '}{one['node']}: {state}: {said(language, str(one['output']))}"
        )
        lines.append(f"    {'Zu tun' if german else 'What to do'}: {one['hint_de' if german else 'hint']}")
    return lines


def _weight(event: Mapping[str, Any]) -> int:
    if event["kind"] in ("became-master", "nobody-serves", "address-conflict", "failover-withheld"):
        return 3
    return 2 if (event.get("facts") or {}).get("state") == "critical" else 1


def _time(event: Mapping[str, Any]) -> str:
    """In the time of this machine, with its zone."""
    at = str(event.get("at", ""))
    try:
        here = datetime.fromisoformat(at).astimezone()
    except ValueError:
        return at
    return f"{here:%Y-%m-%d %H:%M:%S}.{here.microsecond // 1000:03} {here:%Z}"


def _advice(event: Mapping[str, Any], german: bool) -> str:
    facts = event.get("facts") or {}
    check = named(str(facts.get("check", "")))
    if check is not None:
        return "" if facts.get("state") == "ok" else check.hint[int(german)]
    return _DO.get(str(event["kind"]), ("", ""))[int(german)]


def _story(events: Sequence[Mapping[str, Any]], all_events: Sequence[Mapping[str, Any]], language: str) -> list[str]:
    """The outage from its cause to its outcome, for each move among the events."""
    german = language == "de"
    moves = {(e.get("at"), e.get("node")) for e in events if e["kind"] == "became-master"}
    told = [story for story in stories(all_events) if (story["at"], story["node"]) in moves]
    lines: list[str] = []
    for story in told:
        lines += ["", "Der Ablauf:" if german else "The story:", ""]
        lines += [f"{_time(line)}  {line['node']}: {said(language, line['text'])}" for line in story["lines"]]
        if story["unheard_ms"] is not None:
            gap = story["unheard_ms"]
            lines.append(f"Lücke: {gap} ms ohne Master." if german else f"Gap: {gap} ms without a master.")
    return lines
