"""What was kept aside, for the status: this node's own, looked at now, and what the other node said when it was asked last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ishmael.manager.data.salvage import Salvage

_SHOWN_MAX = 20


class SalvageBook:
    """One for the whole manager.

    Args:
        salvage: of this node.
    """

    def __init__(self, salvage: Salvage) -> None:
        self._salvage = salvage
        self._there: tuple[Mapping[str, Any], ...] = ()

    def heard(self, finds: Sequence[Mapping[str, Any]]) -> None:
        """The other node named its finds; none when there is no other node."""
        self._there = tuple(finds)

    def facts(self) -> dict[str, Any]:
        """For the status: how many there are, and the newest of them."""
        finds = [*(find.to_mapping() for find in self._salvage.finds()), *self._there]
        finds.sort(key=lambda find: str(find.get("at")), reverse=True)
        shown = [{key: find.get(key) for key in ("id", "node", "kind", "count", "at")} for find in finds[:_SHOWN_MAX]]
        return {"count": len(finds), "finds": shown}
