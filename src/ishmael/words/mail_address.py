"""What may stand in the header of a mail as an address: one rule for the settings and the monitoring file."""

from __future__ import annotations

import re

# Nothing that could begin another header, another address or a comment; more than that only a mail server can judge.
_ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_LENGTH_MAX = 254


def is_mail_address(text: str) -> bool:
    """Whether this is one mail address, or several with commas between them and no blanks."""
    return all(
        _ADDRESS.fullmatch(each) is not None and each.isprintable() and len(each) <= _LENGTH_MAX
        for each in text.split(",")
    )
