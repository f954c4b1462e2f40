from __future__ import annotations
from collections.abc import Mapping


def asterisk_files() -> Mapping[str, str]:
    return {"etc/asterisk/asterisk.conf": ""}
