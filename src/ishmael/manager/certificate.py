"""The web interface's certificate: made by ourselves until an admin puts another in its place; the same on both nodes.

Browsers meet one certificate at the cluster IP, whoever is master, so that an open page goes on after a failover.
"""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ishmael.manager.accounts import give_to_web
from ishmael.manager.ports.files import Files
from ishmael.words import places
from ishmael.words.errors import HostFault, RequestRefused

_DAYS = 3650
_LIMIT_S = 20
_MAKER = "Ishmael (made by itself)"
_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str


def make_pair(names: Sequence[str], addresses: Sequence[str]) -> Pair:
    """A fresh self-signed certificate (openssl-req(1)).

    Args:
        names: host names; the first is the common name.
        addresses: IPv4 addresses.

    Raises:
        HostFault: openssl is missing or fails.
    """
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    with tempfile.TemporaryDirectory() as place:
        key, certificate = Path(place, "key"), Path(place, "certificate")
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
            str(_DAYS), "-subj", f"/O={_MAKER}/CN={names[0]}", "-addext", f"subjectAltName={alternatives}",
            "-addext", "extendedKeyUsage=serverAuth", "-keyout", str(key), "-out", str(certificate),
        ]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise HostFault(
                "no-certificate", f"No certificate could be made: {error}.", "Is openssl installed? apt install openssl"
            ) from error
        return Pair(certificate.read_text(), key.read_text())


def pair_objection(pair: Pair) -> str:
    """Why these two are no certificate and key that belong together; empty when they do."""
    with tempfile.TemporaryDirectory() as place:
        both = Path(place, "both.pem")
        both.touch(mode=0o600)
        both.write_text(pair.key + "\n" + pair.certificate)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(both)
        except (ssl.SSLError, OSError) as error:
            return str(error)
    return ""


class CertificateBook:
    """Keeps the pair on disk.

    Args:
        files: the disk.
        hand_over: lets the web process read a file.
    """

    def __init__(self, files: Files, hand_over: Callable[[str], None] = give_to_web) -> None:
        self._files, self._hand_over = files, hand_over
        self._seen = ("", "")

    def read(self) -> Pair | None:
        """What is on disk, or None."""
        certificate, key = self._files.read(places.TLS_CERTIFICATE), self._files.read(places.TLS_KEY)
        if certificate is None or key is None:
            return None
        return Pair(certificate.decode(errors="replace"), key.decode(errors="replace"))

    def is_own(self) -> bool:
        """We made it ourselves: an admin's is never touched."""
        pair = self.read()
        if pair is None:
            return True
        try:
            shown = subprocess.run(
                ["openssl", "x509", "-noout", "-subject"], input=pair.certificate, capture_output=True, text=True,
                timeout=_LIMIT_S, check=True,
            ).stdout  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return False
        return _MAKER in shown

    def names(self) -> str:
        """The alternative names in it, as openssl shows them; empty without one."""
        pair = self.read()
        if pair is None:
            return ""
        # Asked for every two seconds: a program is run only for a certificate that was not seen before.
        if pair.certificate != self._seen[0]:
            try:
                shown = subprocess.run(
                    ["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pair.certificate,
                    capture_output=True, text=True, timeout=_LIMIT_S, check=True,
                ).stdout  # fmt: skip
            except (OSError, subprocess.SubprocessError):
                return ""
            self._seen = (pair.certificate, shown)
        return self._seen[1]

    def take_over(self, pair: Pair) -> bool:
        """Put a pair in place; whether it is another than before.

        Raises:
            RequestRefused: the two do not belong together.
        """
        if self.read() == pair:
            return False
        if objection := pair_objection(pair):
            raise RequestRefused("bad-certificate", f"Certificate and key do not belong together: {objection}.")
        self._files.write(places.TLS_KEY, pair.key.encode(), 0o600)
        self._files.write(places.TLS_CERTIFICATE, pair.certificate.encode(), _MODE)
        for path in (places.TLS_KEY, places.TLS_CERTIFICATE):
            self._hand_over(path)
        return True
