"""Phones of the lab, run in the client's namespace: they register, call, answer, and count the audio both ways.

``python -m ishmael.lab.phone ADDRESS SERVER`` reads one JSON object a line on standard input and answers each with one:
``{"do": "register"|"call"|"stats"|"hangup", "phone": "101", "password": "...", "to": "102"}``. It ends with the input.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from ishmael.lab import sip
from ishmael.lab.sip import Message

SIP_PORT = 5060
FIRST_PORT = 20000
TRANSACTION_S = 8.0
RESEND_S = 0.5
"""T1 of RFC 3261: the first wait before a request is sent again; it doubles up to 4 s."""
EXPIRES_S = 3600
FINAL = 200


class Lines(asyncio.DatagramProtocol):
    """A UDP socket that hands each datagram, and when it came, to a function."""

    def __init__(self, received: Any) -> None:
        self.received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """An unreachable peer is found out by the missing answer."""


@dataclass
class Audio:
    """One stream of audio each way.

    Args:
        sent: packets sent.
        received: packets received.
        gap_ms: longest time between two packets received, in milliseconds.
    """

    sent: int = 0
    received: int = 0
    gap_ms: float = 0.0
    last_s: float = 0.0

    def heard(self) -> None:
        """Count a packet that came now."""
        now = time.monotonic()
        if self.received:
            self.gap_ms = max(self.gap_ms, (now - self.last_s) * 1000)
        self.last_s = now
        self.received += 1


@dataclass
class Dialog:
    """A call as the phone knows it (RFC 3261, 12)."""

    call_id: str
    local: str
    remote: str
    target: str
    sequence: int = 1
    audio: Audio = field(default_factory=Audio)
    task: asyncio.Task[None] | None = None


class Phone:
    """One phone: an account, a SIP socket, an audio socket.

    Args:
        number: its number and user name.
        password: of its account.
        address: the own address.
        server: the phone system's address.
        port: its SIP port; the next one is for audio.
    """

    def __init__(self, number: str, password: str, address: str, server: str, port: int) -> None:
        self.number, self.password, self.address, self.server, self.port = number, password, address, server, port
        self.waiting: dict[tuple[str, str], asyncio.Queue[Message]] = {}
        self.dialog: Dialog | None = None
        self.answers: dict[str, bytes] = {}
        self.ended = asyncio.Event()

    async def open(self) -> None:
        """Open both sockets."""
        loop = asyncio.get_running_loop()
        self.line, _ = await loop.create_datagram_endpoint(
            lambda: Lines(self._received), local_addr=(self.address, self.port)
        )
        self.media, _ = await loop.create_datagram_endpoint(
            lambda: Lines(self._heard), local_addr=(self.address, self.port + 1)
        )

    @property
    def uri(self) -> str:
        return f"sip:{self.number}@{self.server}"

    @property
    def contact(self) -> str:
        return f"<sip:{self.number}@{self.address}:{self.port}>"

    # --- asking

    async def register(self) -> dict[str, Any]:
        """Tell the phone system where we are."""
        me = f"<{self.uri}>"
        headers = [("From", f"{me};tag={sip.token()}"), ("To", me), ("Call-ID", sip.token())]
        begun = time.monotonic()
        more = [("Contact", self.contact), ("Expires", str(EXPIRES_S))]
        answer = await self._ask_as_user("REGISTER", f"sip:{self.server}", headers, more, "")
        status = answer.status if answer else 0
        return {"registered": status == FINAL, "status": status, "took_ms": _since_ms(begun)}

    async def call(self, number: str) -> dict[str, Any]:
        """Call a number and begin to talk when it answers."""
        uri, own = f"sip:{number}@{self.server}", sip.token()
        local = f"<{self.uri}>;tag={own}"
        headers = [("From", local), ("To", f"<{uri}>"), ("Call-ID", sip.token())]
        more = [("Contact", self.contact), ("Content-Type", "application/sdp")]
        begun = time.monotonic()
        answer = await self._ask_as_user("INVITE", uri, headers, more, sip.offer(self.address, self.port + 1))
        setup_ms = _since_ms(begun)
        if answer is None or answer.status != FINAL:
            return {"answered": False, "status": answer.status if answer else 0, "setup_ms": setup_ms}
        sequence = int(answer.get("CSeq").split()[0])
        dialog = Dialog(answer.get("Call-ID"), local, answer.get("To"), answer.contact or uri, sequence)
        self.dialog = dialog
        self._send_request("ACK", dialog.target, self._in_dialog(dialog), sequence, "")
        self._talk(dialog, answer.body)
        return {"answered": True, "status": FINAL, "setup_ms": setup_ms, "call_id": dialog.call_id}

    async def hang_up(self) -> dict[str, Any]:
        """End the call, if there is one, and return what was heard."""
        dialog = self.dialog
        if dialog is None:
            return {"hung_up": False}
        self._stop(dialog)
        dialog.sequence += 1
        answer = await self._ask("BYE", dialog.target, self._in_dialog(dialog), dialog.sequence, "")
        return {"hung_up": answer is not None and answer.status == FINAL, **_counts(dialog.audio)}

    def stats(self) -> dict[str, Any]:
        """What was sent and heard in the call that runs."""
        return {"in_call": self.dialog is not None, **(_counts(self.dialog.audio) if self.dialog else {})}

    def _in_dialog(self, dialog: Dialog) -> list[tuple[str, str]]:
        return [("From", dialog.local), ("To", dialog.remote), ("Call-ID", dialog.call_id)]

    async def _ask_as_user(
        self, method: str, uri: str, headers: list[tuple[str, str]], more: list[tuple[str, str]], body: str
    ) -> Message | None:
        """Ask, and when challenged ask again with the answer (RFC 3261, 22)."""
        answer = await self._ask(method, uri, [*headers, *more], 1, body)
        challenges = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
        if answer is None or answer.status not in challenges:
            return answer
        asked, told = challenges[answer.status]
        proof = sip.answer_challenge(answer.get(asked), method, uri, self.number, self.password)
        return await self._ask(method, uri, [*headers, *more, (told, proof)], 2, body)

    async def _ask(
        self, method: str, uri: str, headers: list[tuple[str, str]], sequence: int, body: str
    ) -> Message | None:
        """Send a request until a final response comes; None when none does in time."""
        branch = f"z9hG4bK{sip.token()}"
        answers: asyncio.Queue[Message] = asyncio.Queue()
        self.waiting[branch, method] = answers
        deadline, pause = time.monotonic() + TRANSACTION_S, RESEND_S
        silent = True
        try:
            while (left := deadline - time.monotonic()) > 0:
                if silent:
                    self._send_request(method, uri, headers, sequence, body, branch)
                try:
                    answer = await asyncio.wait_for(answers.get(), min(pause, left))
                except TimeoutError:
                    pause = min(2 * pause, 4.0)
                    continue
                if answer.status >= FINAL:
                    if method == "INVITE" and answer.status > FINAL:
                        refused = [(n, answer.get("To") if n == "To" else v) for n, v in headers if n in _DIALOG]
                        self._send_request("ACK", uri, refused, sequence, "", branch)
                    return answer
                silent = False
        finally:
            del self.waiting[branch, method]
        return None

    def _send_request(
        self, method: str, uri: str, headers: list[tuple[str, str]], sequence: int, body: str, branch: str = ""
    ) -> None:
        own = f"SIP/2.0/UDP {self.address}:{self.port};rport;branch={branch or 'z9hG4bK' + sip.token()}"
        lines = [("Via", own), ("Max-Forwards", "70"), *headers, ("CSeq", f"{sequence} {method}")]
        self.line.sendto(sip.write(f"{method} {uri} SIP/2.0", lines, body), (self.server, SIP_PORT))

    # --- being asked

    def _received(self, data: bytes, sender: tuple[str, int]) -> None:
        message = sip.parse(data)
        if message is None:
            return
        if message.status:
            waiting = self.waiting.get((message.branch, message.method))
            if waiting is not None:
                waiting.put_nowait(message)
        elif message.method != "ACK":
            # What was answered already is answered in the same words.
            key = f"{message.branch} {message.method}"
            if key not in self.answers:
                self.answers[key] = self._answer(message)
            self.line.sendto(self.answers[key], sender)

    def _answer(self, request: Message) -> bytes:
        if request.method == "INVITE" and self.dialog is None:
            local = f"{request.get('To')};tag={sip.token()}"
            dialog = Dialog(request.get("Call-ID"), local, request.get("From"), request.contact)
            self.dialog = dialog
            self._talk(dialog, request.body)
            body = sip.offer(self.address, self.port + 1)
            return self._response("200 OK", request, local, body)
        if request.method == "INVITE":
            return self._response("486 Busy Here", request, f"{request.get('To')};tag={sip.token()}")
        if request.method == "BYE" and self.dialog is not None:
            self._stop(self.dialog)
        known = request.method in ("BYE", "OPTIONS", "NOTIFY", "CANCEL")
        return self._response("200 OK" if known else "501 Not Implemented", request, request.get("To"))

    def _response(self, status: str, request: Message, to: str, body: str = "") -> bytes:
        headers = [("Via", via) for via in request.all("Via")]
        headers += [("From", request.get("From")), ("To", to), ("Call-ID", request.get("Call-ID"))]
        headers += [("CSeq", request.get("CSeq")), ("Contact", self.contact)]
        if body:
            headers.append(("Content-Type", "application/sdp"))
        return sip.write(f"SIP/2.0 {status}", headers, body)

    # --- talking

    def _talk(self, dialog: Dialog, description: str) -> None:
        target = sip.media_target(description)
        if target is not None:
            self.ended.clear()
            dialog.task = asyncio.get_running_loop().create_task(self._send_audio(dialog.audio, target))

    async def _send_audio(self, audio: Audio, target: tuple[str, int]) -> None:
        loop, source = asyncio.get_running_loop(), secrets.randbits(32)
        begun = loop.time()
        while True:
            self.media.sendto(sip.rtp_packet(audio.sent, source), target)
            audio.sent += 1
            await asyncio.sleep(max(0.0, begun + audio.sent * sip.RTP_PERIOD_S - loop.time()))

    def _heard(self, _data: bytes, _sender: tuple[str, int]) -> None:
        if self.dialog is not None:
            self.dialog.audio.heard()

    def _stop(self, dialog: Dialog) -> None:
        if dialog.task is not None:
            dialog.task.cancel()
        self.dialog = None
        self.ended.set()


_DIALOG = ("From", "To", "Call-ID")


def _since_ms(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 1)


def _counts(audio: Audio) -> dict[str, Any]:
    return {"rtp_sent": audio.sent, "rtp_received": audio.received, "audio_gap_ms": round(audio.gap_ms, 1)}


class Box:
    """All phones of one process, by number."""

    def __init__(self, address: str, server: str) -> None:
        self.address, self.server = address, server
        self.phones: dict[str, Phone] = {}

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order and return what came of it."""
        number = order["phone"]
        phone = self.phones.get(number)
        if phone is None:
            port = FIRST_PORT + 2 * len(self.phones)
            phone = self.phones[number] = Phone(number, order.get("password", ""), self.address, self.server, port)
            await phone.open()
        if order["do"] == "register":
            return await phone.register()
        if order["do"] == "call":
            return await phone.call(order["to"])
        if order["do"] == "hangup":
            return await phone.hang_up()
        return phone.stats()


async def serve(address: str, server: str) -> None:
    """Carry out orders from standard input, each as soon as it comes, until the input ends."""
    box = Box(address, server)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: set[asyncio.Task[None]] = set()

    async def one(order: dict[str, Any]) -> None:
        result = await box.obey(order)
        sys.stdout.write(json.dumps({"phone": order["phone"], "do": order["do"], **result}) + "\n")
        sys.stdout.flush()

    while line := await reader.readline():
        task = asyncio.create_task(one(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
    for task in running:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
