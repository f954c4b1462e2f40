"""The static files, named with a version made of their content: browsers keep them, and never an old one."""

from __future__ import annotations

import hashlib
from pathlib import Path


class Assets:
    """Addresses of static files.

    Args:
        where: their directory.
    """

    def __init__(self, where: Path) -> None:
        self._versions = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in where.iterdir() if path.is_file()
        }

    def url(self, name: str) -> str:
        """Address of a file, with its version."""
        return f"/static/{name}?v={self._versions[name]}"

    def cache(self, path: str, query: str) -> str:
        """``Cache-Control`` of an answer (RFC 9111; RFC 8246).

        Args:
            path, query: as asked for. A version that is not ours, as while an update is under way, is not kept.
        """
        if not path.startswith("/static/"):
            return "no-store"
        version = self._versions.get(path.removeprefix("/static/"))
        return "public, max-age=31536000, immutable" if version and query == f"v={version}" else "no-cache"
