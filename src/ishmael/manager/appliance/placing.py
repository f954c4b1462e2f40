"""Putting a service's files in place: checked first, the old ones kept, taken back when the service does not come up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ishmael.manager.appliance import kept, own
from ishmael.manager.appliance.shape import File, Place, Service, Values
from ishmael.manager.ports.hands import Hands
from ishmael.manager.works.base import wait_until
from ishmael.words import places
from ishmael.words.errors import Finding, HostFault, IshmaelError
from ishmael.words.roles import Role

_UP_S = 5.0
_STEADY_S = 0.3
_AGED_S = 5.0
_DECIDED_S = 3.0
SERVING = (Role.MASTER, Role.TAKING, Role.HANDING)


def wanted(service: Service, values: Values, place: Place, secret: str, lines: own.Own) -> dict[str, File]:
    """Its files, with the lines of the admin's own; none when it is switched off."""
    if not values["enabled"]:
        return {}
    made = service.files(values, place, secret)
    return {path: replace(f, data=own.applied(f.data, lines.get(path, ()))) for path, f in made.items()}


def meant(hands: Hands, service: Service) -> dict[str, File]:
    """Its files as settings and own lines say now.

    Raises:
        RequestRefused: the settings cannot be read, or there is no network to serve.
    """
    values, secret = kept.settings(hands, service), kept.secret(hands, service)
    return wanted(service, values, kept.place(hands), secret, kept.own_lines(hands, service))


def objections(hands: Hands, service: Service, files: Mapping[str, File]) -> list[Finding]:
    """What this machine and the service's own checker have against these files; they are looked at aside."""
    about = service.about
    if not files:
        return []
    missing = [unit for unit in about.units if not hands.services.exists(unit)]
    if missing or not hands.programs.installed(about.program):
        message = f"{about.title} needs the package {about.package}, which is not installed."
        hint = f"Install it on both nodes: apt install {about.package}"
        return [Finding("enabled", "service-package-missing", message, hint, whose="host")]
    said = hands.programs.refusal({path: file.data for path, file in files.items()}, about.checkers, quiet=about.quiet)
    if said:
        message = f"{about.package} refuses these settings: {said}."
        return [Finding("", "service-refuses", message, "Nothing was changed; correct the setting it names.")]
    return []


def runs_here(hands: Hands, service: Service, values: Values) -> bool:
    """It should run on this node now."""
    if not values["enabled"]:
        return False
    if not service.about.with_master or hands.files.read(places.SETTINGS) is None:
        return True
    until_s = hands.clock.now_s() + _DECIDED_S
    while (role := _role(hands)) is None and hands.clock.now_s() < until_s:
        hands.clock.sleep(0.2)
    return role in SERVING


def _role(hands: Hands) -> str | None:
    """This node's; None while its keeper does not say: it is restarted."""
    try:
        seen = hands.keeper.status()
    except IshmaelError:
        return None
    return None if seen.get("role") == Role.WAITING and seen.get("holds_cluster_ip") else str(seen.get("role"))


def gone(hands: Hands, service: Service, files: Mapping[str, File]) -> list[str]:
    """Paths this node wrote for it, and that it needs no longer."""
    return [path for path in kept.notes(hands).get(service.about.name, {}).get("files", {}) if path not in files]


def in_place(hands: Hands, service: Service, files: Mapping[str, File]) -> bool:
    """All files lie there as they should."""
    return not gone(hands, service, files) and all(
        hands.files.read(p) == f.data and hands.files.mode(p) == f.mode for p, f in files.items()
    )


def put(hands: Hands, service: Service, files: Mapping[str, File]) -> None:
    """Write the files; of each, what lay there before Ishmael came is kept, and comes back when it is needed no longer."""
    own = kept.notes(hands).get(service.about.name, {})
    before = kept.unpack(hands.files.read(places.SERVICES_BEFORE) or b"{}")
    written = own.get("files", {})
    new = {
        p: (hands.files.read(p), hands.files.mode(p) or 0o644) for p in files if p not in written and p not in before
    }
    if new:
        before |= new
        hands.files.write(places.SERVICES_BEFORE, kept.pack(before), 0o600)
    # Noted first: cut in between, it is not taken for changed by hand, and is written again.
    kept.note(
        hands,
        service,
        files={p: kept.digest(f.data) for p, f in files.items()} | {p: "" for p in written if p not in files},
        writing=True,
        switch_due=True,
    )
    for path, file in files.items():
        if hands.files.read(path) != file.data or hands.files.mode(path) != file.mode:
            hands.files.write(path, file.data, file.mode)
            # It is whole; Postfix would wait two seconds to be sure of that.
            hands.files.age(path, _AGED_S)
    for path in [path for path in written if path not in files]:
        give_back(hands, path, before.pop(path, (None, 0o644)))
        hands.files.write(places.SERVICES_BEFORE, kept.pack(before), 0o600)
    kept.note(hands, service, files={p: kept.digest(f.data) for p, f in files.items()}, writing=False)


def give_back(hands: Hands, path: str, was: tuple[bytes | None, int]) -> None:
    """Make one file what it was."""
    data, mode = was
    if data is None:
        hands.files.remove(path)
    else:
        hands.files.write(path, data, mode)


def switch(hands: Hands, service: Service, values: Values, *, changed: bool) -> None:
    """Start, restart or stop it, as it should be here, see that it is up, and note that this is done.

    Args:
        hands: ports.
        service: the service.
        values: its settings.
        changed: its files are new, so that a running one has to read them.

    Raises:
        HostFault: it does not come up.
    """
    about, runs = service.about, runs_here(hands, service, values)
    clustered = hands.files.read(places.SETTINGS) is not None
    at_boot = values["enabled"] and not (about.with_master and clustered)
    for unit in about.enable:
        if hands.services.exists(unit) and hands.services.enabled(unit) != at_boot:
            (hands.services.enable if at_boot else hands.services.disable)(unit)
    hands.programs.reload_units()
    for unit in about.units:
        if not runs and hands.services.exists(unit) and hands.services.active(unit):
            # This node may have become master meanwhile, and the keeper have started it.
            if not runs_here(hands, service, values):
                hands.services.stop(unit)
        elif runs and (changed or not hands.services.active(unit)):
            hands.services.restart(unit)
    if runs:
        _see_up(hands, service)
    if kept.notes(hands).get(about.name, {}).get("switch_due"):
        kept.note(hands, service, switch_due=False)


def _see_up(hands: Hands, service: Service) -> None:
    units = service.about.units

    def down() -> HostFault:
        unit = next((unit for unit in units if not hands.services.active(unit)), units[0])
        message = f"{service.about.title} did not come up: {unit} does not run."
        return HostFault("service-not-up", message, f"See: journalctl -u {unit}")

    wait_until(hands.clock, lambda: all(hands.services.active(unit) for unit in units), _UP_S, down)
    hands.clock.sleep(_STEADY_S)
    if not all(hands.services.active(unit) for unit in units):
        raise down()
