"""The manager: joins ports and drivers, runs jobs, serves the API. ``python -m ishmael.manager.main``."""

from __future__ import annotations

import argparse
import grp
import logging
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn

from ishmael.manager.accounts import AccountsBook
from ishmael.manager.api import audit, checks, data, networks, services
from ishmael.manager.api import drift as drift_routes
from ishmael.manager.api.app import make_app
from ishmael.manager.api.callers import OnlyKnownCallers, PeerCredentialProtocol
from ishmael.manager.appliance.following import ServicesFollow
from ishmael.manager.certificate import CertificateBook
from ishmael.manager.data.book import SalvageBook
from ishmael.manager.data.files import FilesFollow
from ishmael.manager.data.salvage import Salvage
from ishmael.manager.drift import Drift, begin
from ishmael.manager.drivers.events import EventFile
from ishmael.manager.drivers.inotify import Inotify
from ishmael.manager.drivers.join import real_hands
from ishmael.manager.drivers.lock import cluster_lock
from ishmael.manager.drivers.rsyncd import Rsyncd
from ishmael.manager.jobs.journal import Journal
from ishmael.manager.jobs.queue import Queue
from ishmael.manager.jobs.runner import Runner
from ishmael.manager.look import Look
from ishmael.manager.tasks import Task, Tasks
from ishmael.manager.telephony import Telephony
from ishmael.manager.versions import VersionWatch
from ishmael.manager.watch.cluster import ClusterChecks, Known
from ishmael.manager.watch.failing import FailingServices
from ishmael.manager.watch.first_call import FirstCall
from ishmael.manager.watch.icinga import IcingaPush
from ishmael.manager.watch.mail import Mailer
from ishmael.manager.watch.only_notify import OnlyNotify
from ishmael.manager.watch.scheduler import Scheduler
from ishmael.manager.web_follow import WebFollow
from ishmael.manager.works.catalogue import catalogue
from ishmael.words import places
from ishmael.words.errors import HostFault, IshmaelError

_BACKLOG = 64
_GOODBYE_S = 2


def tell_systemd(state: str) -> None:
    """Tell the service manager how we are (sd_notify(3)); nobody is told when it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.connect("\0" + address[1:] if address.startswith("@") else address)
        wire.sendall(state.encode())


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        tell_systemd("READY=1")


def listen(path: str) -> socket.socket:
    """The API's Unix socket, for root and the web process; a socket that a killed manager left is replaced.

    Raises:
        HostFault: another manager serves there.
    """
    target = Path(path)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
            knock.connect(path)
        except OSError:
            target.unlink(missing_ok=True)
        else:
            raise HostFault(
                "manager-runs", f"A manager serves at {path} already.", "See: systemctl status ishmael-manager"
            )
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        door.bind(path)
    finally:
        os.umask(before)
    with suppress(KeyError):
        os.chown(path, 0, grp.getgrnam(places.WEB_USER).gr_gid)
        target.chmod(0o660)
    door.listen(_BACKLOG)
    return door


def serve(api_socket: str, jobs: str) -> None:
    """Run until told to stop; a job cut off here is resumed at the next start.

    Args:
        api_socket: path of the Unix socket.
        jobs: path of the job journal.
    """
    hands = real_hands()
    works = catalogue(hands)
    journal = Journal(jobs)
    drift = Drift(hands, cluster_lock)
    runner = Runner(journal, works, drift.noting)
    book = AccountsBook(hands.files)
    files = FilesFollow(hands, hands.copies, Rsyncd(), Inotify)
    versions = VersionWatch(hands)
    salvage = Salvage(hands.host.name())
    kept, telephony = SalvageBook(salvage), Telephony(hands.surroundings)
    events = EventFile()
    look = Look(hands, events, files.facts, versions.versions, kept.facts, telephony.facts, drift.names)
    known = Known(hands, events, look, kept)
    scheduler = Scheduler(known.seen, hands.keeper, hands.files)
    cluster = ClusterChecks(hands, scheduler, known, events)
    mailer = Mailer(hands, known, events, lambda: cluster.lamp()["reasons"])
    follow = WebFollow(hands, book, CertificateBook(hands.files))
    watches: list[Task] = [scheduler, cluster, mailer, IcingaPush(cluster, known)]
    watches.append(OnlyNotify(hands.keeper, cluster))
    watches += [FailingServices(hands), FirstCall(hands, events)]
    tasks = Tasks([files, versions, ServicesFollow(hands, drift.noting), follow, *watches])
    app = make_app(Queue(journal, works), journal, look, hands.host.version(), book)
    services.add_to(app, hands)
    networks.add_to(app, hands, journal)
    checks.add_to(app, hands, cluster, mailer)
    data.add_to(app, hands, salvage, files.settle)
    audit.add_to(app, hands.keeper)
    drift_routes.add_to(app, drift, hands)
    app.add_middleware(OnlyKnownCallers)
    door = listen(api_socket)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, loop="asyncio", http=PeerCredentialProtocol, ws="none", lifespan="off",
        timeout_graceful_shutdown=_GOODBYE_S,
    )  # fmt: skip
    begin(drift)
    runner.start()
    tasks.start()
    try:
        _Server(config).run(sockets=[door])
    finally:
        tell_systemd("STOPPING=1")
        runner.stop()
        tasks.stop()
        journal.stop_waiting()
        Path(api_socket).unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Entry point of ishmael-manager.service.

    Args:
        argv: command line without the program's name.
    """
    parser = argparse.ArgumentParser(prog="python -m ishmael.manager.main", description=__doc__)
    parser.add_argument("--socket", default=places.API_SOCKET, help="path of the API's Unix socket")
    parser.add_argument("--jobs", default=places.JOBS, help="path of the job journal")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        serve(options.socket, options.jobs)
    except IshmaelError as error:
        print(f"ishmael-manager: {error.message} {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
