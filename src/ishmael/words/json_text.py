"""Reading JSON that comes from outside: whatever it is, the reader survives it."""

from __future__ import annotations

import json
from typing import Any


def read_json(raw: bytes | str) -> Any:
    """Decode JSON (RFC 8259).

    Raises:
        ValueError: it is no JSON, no UTF-8, or nested deeper than any message of ours.
    """
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
