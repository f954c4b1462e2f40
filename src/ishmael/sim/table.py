"""The rules of the core, printed: as a list, as a diagram, and as data that a golden file guards."""

from __future__ import annotations

import json

from ishmael.core.rules import RULES
from ishmael.words.roles import Role


def as_list() -> str:
    """One line a rule, in the order in which they are tried."""
    rows = [(r.id, _roles(r.roles), _roles(r.to) or "(stays)", r.why) for r in RULES]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  -> {row[2]:<{widths[2]}}  {row[3]}".rstrip() for row in rows
    )


def as_mermaid() -> str:
    """A state diagram of the roles (Mermaid, stateDiagram-v2); each edge names its rules."""
    edges: dict[tuple[str, str], list[str]] = {}
    for rule in RULES:
        if len(rule.roles) == len(Role):
            continue  # an admin can lead from anywhere to anywhere: no picture
        for source in sorted(rule.roles):
            for target in rule.to:
                edges.setdefault((source, target), []).append(rule.id)
    lines = [f"    {source} --> {target}: {', '.join(ids)}" for (source, target), ids in sorted(edges.items())]
    return "\n".join(["stateDiagram-v2", "    [*] --> out", *lines])


def as_json() -> str:
    """All rows as JSON, conditions and consequences by the names of their functions."""
    rows = [
        {
            "id": rule.id,
            "roles": sorted(rule.roles),
            "to": sorted(rule.to),
            "when": f"{rule.when.__module__.rpartition('.')[2]}.{rule.when.__name__}",
            "then": f"{rule.then.__module__.rpartition('.')[2]}.{rule.then.__name__}",
            "why": rule.why,
        }
        for rule in RULES
    ]
    return json.dumps({"schema": 1, "rules": rows}, indent=2)


def _roles(roles: frozenset[Role] | tuple[Role, ...]) -> str:
    return "any" if len(roles) == len(Role) else ", ".join(role for role in Role if role in roles)
