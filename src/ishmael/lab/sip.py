"""The words of SIP that a phone needs: messages, digest authentication, session descriptions. No input or output.

Sources: RFC 3261 (messages), RFC 8760 and RFC 7616 (digest; MD5 with ``auth``), RFC 4566 (SDP), RFC 3550 (RTP).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

RTP_PERIOD_S = 0.02
RTP_SAMPLES = 160
"""Samples in 20 ms at 8000 Hz; with PCMU as many bytes."""


@dataclass(frozen=True)
class Message:
    """A request or a response.

    Args:
        start: the first line.
        headers: names as written and values, in order.
        body: what follows the empty line.
    """

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    def all(self, name: str) -> list[str]:
        """Every value of a header, by its long name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str:
        """The first value of a header; empty when it is absent."""
        return next(iter(self.all(name)), "")

    @property
    def status(self) -> int:
        """Status code of a response; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """What is asked, of a request, or what was asked, of a response."""
        return self.get("CSeq").split()[-1] if self.status else self.start.split()[0]

    @property
    def branch(self) -> str:
        """Name of the transaction (RFC 3261, 17.1.3)."""
        found = re.search(r"branch=([^;,\s]+)", self.get("Via"))
        return found[1] if found else ""

    @property
    def contact(self) -> str:
        """URI of the Contact header; empty when it is absent."""
        found = re.search(r"<([^>]+)>", self.get("Contact"))
        return found[1] if found else self.get("Contact").split(";")[0]


def parse(data: bytes) -> Message | None:
    """Read a message; None when it is none, a keep-alive for instance."""
    head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    if "SIP/2.0" not in start:
        return None
    pairs = (line.partition(":") for line in lines if ":" in line)
    return Message(start, tuple((name.strip(), value.strip()) for name, _, value in pairs), body)


def write(start: str, headers: Iterable[tuple[str, str]], body: str = "") -> bytes:
    """Write a message, with its length."""
    length = len(body.encode())
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def token() -> str:
    """A word nobody used before, for tags, branches and call ids."""
    return secrets.token_hex(8)


def tag_of(value: str) -> str:
    """The tag of a From or To header; empty when it has none."""
    found = re.search(r";tag=([^;>\s]+)", value)
    return found[1] if found else ""


def answer_challenge(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """The value of an Authorization header that answers a Digest challenge (RFC 7616, MD5).

    Args:
        challenge: value of WWW-Authenticate or Proxy-Authenticate.
        method: of the request that was challenged.
        uri: its request URI.
        user: who we are.
        password: in clear.
    """
    asked = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', challenge)}

    def digest(*words: str) -> str:
        return hashlib.md5(":".join(words).encode(), usedforsecurity=False).hexdigest()

    secret = digest(user, asked["realm"], password)
    act = digest(method, uri)
    said = {"username": user, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    if "auth" in asked.get("qop", "").split(","):
        count, own = "00000001", token()
        response = digest(secret, asked["nonce"], count, own, "auth", act)
        more = f', qop=auth, nc={count}, cnonce="{own}"'
    else:
        response, more = digest(secret, asked["nonce"], act), ""
    if "opaque" in asked:
        said["opaque"] = asked["opaque"]
    words = ", ".join(f'{name}="{value}"' for name, value in said.items())
    return f'Digest {words}, response="{response}", algorithm=MD5{more}'


def offer(address: str, port: int) -> str:
    """A session description: one audio stream, PCMU."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def media_target(description: str) -> tuple[str, int] | None:
    """Where the other side wants its audio; None when the description does not say."""
    address = re.search(r"^c=IN IP4 (\S+)", description, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", description, re.MULTILINE)
    return (address[1], int(port[1])) if address and port else None


def rtp_packet(sequence: int, source: int) -> bytes:
    """An RTP packet of 20 ms PCMU (RFC 3550, 5.1); its audio is a pattern that changes with each packet."""
    head = bytes((0x80, 0)) + (sequence & 0xFFFF).to_bytes(2, "big")
    stamp = (sequence * RTP_SAMPLES & 0xFFFFFFFF).to_bytes(4, "big")
    return head + stamp + source.to_bytes(4, "big") + bytes((sequence + n) & 0xFF for n in range(RTP_SAMPLES))
