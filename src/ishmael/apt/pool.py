"""The pool: the very .deb files whose versions are installed here, so that the other node can be given the same.

APT's hook copies each in before it is unpacked, with those of its dependencies that change in the same run. Nothing is
packed anew from installed files: that would lose signatures of content, scripts' order, and changed configuration.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from ishmael.apt.plan import Change
from ishmael.words.versions import depended, file_name

_LIMIT_S = 60
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def fields(file: str) -> dict[str, str]:
    """Some fields of a .deb, empty when it has none of that name.

    Raises:
        OSError: it cannot be read as a package.
    """
    names = ("Package", "Version", "Architecture", "Depends", "Pre-Depends")
    pattern = "".join(f"${{{name}}}\\n" for name in names)
    argv = ["dpkg-deb", "--show", f"--showformat={pattern}", "--", file]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT_S, env=_ENVIRONMENT, check=False)
    values = done.stdout.split("\n")
    if done.returncode or len(values) < len(names):
        raise OSError(f"{file} is no Debian package: {done.stderr.strip()}")
    return dict(zip(names, values, strict=False))


def to_keep(changes: Sequence[Change], names: Collection[str]) -> list[Change]:
    """Changes of these packages, and of what they depend on as far as it changes with them."""
    of = {change.name: change for change in changes if change.file}
    wanted, queue = dict[str, Change](), [name for name in of if name in names]
    while queue:
        name = queue.pop()
        if name in wanted:
            continue
        wanted[name] = of[name]
        found = fields(str(of[name].file))
        needs = depended(f"{found['Depends']},{found['Pre-Depends']}")
        queue += [other for other in needs if other in of]
    return list(wanted.values())


def keep(changes: Sequence[Change], pool: Path) -> None:
    """Copy the files of these changes into the pool; of each package stay the version there was and the new one.

    Raises:
        OSError: the disk is full, read-only or failing.
    """
    pool.mkdir(mode=0o700, parents=True, exist_ok=True)
    for change in changes:
        assert change.file is not None
        found = fields(change.file)
        name = file_name(found["Package"], found["Version"], found["Architecture"])
        _copy(Path(change.file), pool / name)
        for older in pool.glob(f"{found['Package']}_*.deb"):
            version = older.name.split("_")[1].replace("%3a", ":")
            if version not in (found["Version"], change.old):
                older.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as old, tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new.", delete=False) as new:
        try:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fchmod(new.fileno(), 0o600)
            os.fsync(new.fileno())
            Path(new.name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(new.name).unlink()
            raise
