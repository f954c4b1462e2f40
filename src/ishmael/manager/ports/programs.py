"""Programs of this machine that check configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Programs(Protocol):
    """What services' own checkers say."""

    def installed(self, path: str) -> bool:
        """There is such a program."""
        ...

    def refusal(self, files: Mapping[str, bytes], commands: Sequence[Sequence[str]], *, quiet: bool) -> str:
        """Lay files aside and let programs look at them.

        Args:
            files: content by path; laid aside by the last part of the path.
            commands: each must succeed; ``{dir}`` stands for where the files lie.
            quiet: words on the standard error are a refusal too.

        Returns:
            What the first that refuses says, or empty.
        """
        ...

    def reload_units(self) -> None:
        """systemd reads its units anew, when a file of them has changed."""
        ...

    def login_trouble(self, host: str, port: int, how: str, login: tuple[str, str], *, verify: bool) -> tuple[str, str]:
        """Speak to a mail server as far as the login, and send nothing.

        Args:
            host, port: of the server.
            how: ``starttls``, ``tls`` or ``none``.
            login: user and password; an empty user does not log in.
            verify: its certificate has to be good.

        Returns:
            ``unknown``, ``unreachable``, ``tls``, ``login`` or empty, and its own words.
        """
        ...
