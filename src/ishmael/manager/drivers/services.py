"""systemd, by its own program (systemctl(1))."""

from __future__ import annotations

from collections.abc import Sequence

from ishmael.manager.drivers.programs import run, words_of
from ishmael.words.errors import HostFault

_START_LIMIT_S = 90.0
_NATIVE = ("env", "SYSTEMCTL_SKIP_SYSV=1")
_AT_BOOT = ("enabled", "enabled-runtime", "alias")


class Systemd:
    """The services of this machine."""

    def _show(self, unit: str, what: str) -> str:
        return run(["systemctl", "show", "--property", what, "--value", "--", unit]).stdout.decode().strip()

    def exists(self, unit: str) -> bool:
        """There is such a unit, and it is not masked."""
        return self._show(unit, "LoadState") == "loaded"

    def enabled(self, unit: str) -> bool:
        """It is started at boot."""
        return run(["systemctl", "is-enabled", "--", unit]).stdout.decode().strip() in _AT_BOOT

    def active(self, unit: str) -> bool:
        """It runs."""
        return self._show(unit, "ActiveState") in ("active", "reloading")

    def standings(self, units: Sequence[str]) -> dict[str, tuple[str, int]]:
        """One ``systemctl show`` for all of them."""
        if not units:
            return {}
        done = run(["systemctl", "show", "--property", "Id,ActiveState,NRestarts", "--", *units])
        return standings_from(done.stdout.decode(errors="replace"))

    def enable(self, unit: str) -> None:
        """Start it at boot from now on."""
        self._do("enable", unit, words=self._without_sysv(unit))

    def disable(self, unit: str) -> None:
        """Do not start it at boot."""
        self._do("disable", unit, words=self._without_sysv(unit))

    def _without_sysv(self, unit: str) -> Sequence[str]:
        """Spare a unit with a file of its own the links of System V, which nothing reads: they take systemd two reloads."""
        file = self._show(unit, "FragmentPath")
        return _NATIVE if file and not file.startswith("/run/") else ()

    def start(self, unit: str) -> None:
        """Start it; an earlier series of failures is forgotten first."""
        run(["systemctl", "reset-failed", "--", unit])
        self._do("start", unit)

    def stop(self, unit: str) -> None:
        """Stop it."""
        self._do("stop", unit)

    def begin_stop(self, unit: str) -> None:
        """Stop it, and do not wait for that."""
        self._do("stop", unit, "--no-block")

    def restart(self, unit: str) -> None:
        """Stop and start it."""
        run(["systemctl", "reset-failed", "--", unit])
        self._do("restart", unit)

    def _do(self, verb: str, unit: str, *options: str, words: Sequence[str] = ()) -> None:
        done = run([*words, "systemctl", "--quiet", *options, verb, "--", unit], limit_s=_START_LIMIT_S)
        if done.returncode:
            message = f"systemctl {verb} {unit} failed: {words_of(done)}."
            raise HostFault("service-failed", message, f"See: systemctl status {unit}; journalctl -u {unit}")


def standings_from(text: str) -> dict[str, tuple[str, int]]:
    """The blocks of ``systemctl show``, one a unit; what is not there in full is left out."""
    found = {}
    for block in text.split("\n\n"):
        entry = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        restarts = entry.get("NRestarts", "")
        if "Id" in entry and "ActiveState" in entry and restarts.isdigit():
            found[entry["Id"]] = (entry["ActiveState"], int(restarts))
    return found
