"""The web process: ``python -m ishmael.web.main``. Joins what it is made of and serves HTTPS."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import ssl
import sys
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ishmael.web.app import make_app
from ishmael.web.manager import Manager
from ishmael.web.sessions import AccountsFile
from ishmael.words import places

_GOODBYE_S = 1
_LOOK_S = 1.0
_HEAD_S = 10.0
log = logging.getLogger(__name__)


def tell_systemd(state: str) -> None:
    """Tell the service manager how we are (sd_notify(3)); nobody is told when it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.connect("\0" + address[1:] if address.startswith("@") else address)
            wire.sendall(state.encode())


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        tell_systemd("READY=1")
        self.renewing = asyncio.create_task(self._renew_certificate())

    async def _renew_certificate(self) -> None:
        """Show new connections the certificate that lies there now; open ones go on."""
        paths = [Path(str(self.config.ssl_certfile)), Path(str(self.config.ssl_keyfile))]
        seen: list[int] = []
        while not self.should_exit:
            try:
                now = [path.stat().st_mtime_ns for path in paths]
                if seen and now != seen and self.config.ssl is not None:
                    self.config.ssl.load_cert_chain(paths[0], paths[1])
                seen = now
            except (OSError, ssl.SSLError) as error:
                # Half of a pair is there; the other half comes.
                log.info("the certificate cannot be read yet: %s", error)
            await asyncio.sleep(_LOOK_S)


class Impatient(H11Protocol):
    """A connection; who asks for nothing is not waited for, so that strangers do not take all places."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is done."""
        super().connection_made(transport)
        self.loop.call_later(_HEAD_S, self._hang_up)

    def _hang_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()


def listen(port: int) -> socket.socket:
    """All addresses of this node: its own, and the cluster IP while it is here."""
    wire = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    wire.bind(("0.0.0.0", port))  # noqa: S104 - the cluster IP comes and goes while this process runs
    wire.listen(128)
    return wire


def main(argv: list[str] | None = None) -> int:
    """Entry point of ishmael-web.service.

    Args:
        argv: command line without the program's name.
    """
    parser = argparse.ArgumentParser(prog="python -m ishmael.web.main", description=__doc__)
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--manager", default=places.API_SOCKET, help="path of the manager's socket")
    parser.add_argument("--accounts", default=places.ACCOUNTS, help="path of the accounts file")
    parser.add_argument("--certificate", default=places.TLS_CERTIFICATE)
    parser.add_argument("--key", default=places.TLS_KEY)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    app = make_app(Manager(options.manager), AccountsFile(options.accounts))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, loop="asyncio", http=Impatient, ws="none", lifespan="off",
        server_header=False, date_header=True, timeout_graceful_shutdown=_GOODBYE_S,
        h11_max_incomplete_event_size=32768, limit_concurrency=200,
        ssl_certfile=options.certificate, ssl_keyfile=options.key, ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )  # fmt: skip
    config.load()
    assert config.ssl is not None
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    _Server(config).run(sockets=[listen(options.port)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
