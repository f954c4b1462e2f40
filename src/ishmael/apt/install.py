"""Install what the master brought: ``python -m ishmael.apt.install KEY FILE...``, in a unit of its own.

The door starts it apart from its SSH session, because the very package that is installed may be Ishmael: units are
restarted and files replaced beneath whoever asked. The outcome lies in a file, so that it outlives all that.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ishmael.words import places

_LIMIT_S = 1200
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}  # fmt: skip
_OPTIONS = (
    "DPkg::Lock::Timeout=120", "Dpkg::Options::=--force-confdef", "Dpkg::Options::=--force-confold",
    # What is missing is said at once, instead of after a search in an internet that is not there.
    "Dir::Etc::SourceList=/dev/null", "Dir::Etc::SourceParts=/dev/null",
    # The master decides; the lock is for everybody else.
    "Ishmael::Override=yes",
)  # fmt: skip


def command(files: list[str]) -> list[str]:
    """APT's command line for these files."""
    options = [word for option in _OPTIONS for word in ("-o", option)]
    allowed = ["--allow-downgrades", "--allow-change-held-packages", "--no-install-recommends"]
    return ["apt-get", "-q", "-y", *allowed, *options, "install", "--", *files]


def _run(argv: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, env=_ENVIRONMENT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    sys.stdout.write(done.stdout.decode(errors="replace"))
    sys.stderr.write(done.stderr.decode(errors="replace"))
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "dpkg: error"))] or lines
    unmet = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if " Depends: " in line]
    return done.returncode, "; ".join([*unmet[:3], *errors[-3:]])


def _tell(key: str, state: str, said: str) -> None:
    target = Path(places.UPDATE) / "install.json"
    with tempfile.NamedTemporaryFile("w", dir=target.parent, prefix=".new.", delete=False) as new:
        json.dump({"key": key, "state": state, "said": said[:500]}, new)
        new.flush()
        os.fsync(new.fileno())
    Path(new.name).replace(target)


def main(argv: list[str] | None = None) -> int:
    """Install; 0 when done.

    Args:
        argv: a key of this attempt, then paths of packages.
    """
    key, *files = sys.argv[1:] if argv is None else argv
    # A run that a power cut ended left packages half-way.
    _run(["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"])
    code, said = _run(command(files))
    _tell(key, "failed" if code else "done", said if code else "")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
