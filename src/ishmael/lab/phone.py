"""Phones of the lab, run in the client's namespace: they register, call, answer, and count the audio both ways.

``python -m ishmael.lab.phone ADDRESS SERVER`` reads one JSON object a line on standard input and answers each with one:
``{"do": "register"|"call"|"stats"|"hangup", "phone": "101", "password": "...", "to": "102"}``. It ends with the input.

The phones of a process are accounts of one pjsua2 endpoint, PJSIP's own user agent. It has no worker thread for SIP: its callbacks run
inside the one loop here, so nothing of ours is ever entered by two threads. They only note what happened; what may fail
is done by the loop, for an exception must not pass through the library. The library's own threads move the audio.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pjsua2 as pj

from ishmael.words.errors import Bug

ORDER_S = 8.0
"""An order without a final response by then has failed; the library itself would go on for 32 s (RFC 3261, timer B)."""
EXPIRES_S = 3600
AUDIO_PORT = 20000
AUDIO_PORTS = 10
"""Ports for audio of one phone; the library takes the next free two."""
PARTING_S = 0.1
"""How long the library still works after the input has ended."""
POLL_MS = 10
"""How long the loop sleeps when nothing comes, and so how exactly the silence between two packets is known."""
TONE_HZ = 440
CODECS = ("PCMU/8000", "PCMA/8000")
MAX_CALLS = 4
"""As many as the wheel is built for (PJSUA_MAX_CALLS); a leg more is answered 486 by the library itself."""
FINAL, BUSY = 200, 486
INPUT, OUTPUT = 0, 1


@dataclass
class Audio:
    """One stream of audio each way, as the library's counters tell it.

    Args:
        sent: packets sent.
        received: packets received.
        gap_ms: longest time without a packet after the first, in milliseconds, as seen every ``POLL_MS``.
        last_s: when the counter of packets received was last seen to grow, monotonic seconds.
    """

    sent: int = 0
    received: int = 0
    gap_ms: float = 0.0
    last_s: float = 0.0

    def saw(self, sent: int, received: int) -> None:
        """Take the counters as they are now; a silence that has not ended counts as far as it goes."""
        now = time.monotonic()
        if self.received:
            self.gap_ms = max(self.gap_ms, (now - self.last_s) * 1000)
        if received != self.received:
            self.last_s = now
        self.sent, self.received = sent, received

    def counts(self) -> dict[str, Any]:
        """What is told of it."""
        return {"rtp_sent": self.sent, "rtp_received": self.received, "audio_gap_ms": round(self.gap_ms, 1)}


class Order:
    """One order, to be answered once.

    Args:
        said: the order as it came.
        tell: what takes the answer.
    """

    def __init__(self, said: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self.do, self.phone = said["do"], said["phone"]
        self.begun_s = time.monotonic()
        self.done = False
        self._tell = tell

    @property
    def took_ms(self) -> float:
        """Milliseconds since it came."""
        return round((time.monotonic() - self.begun_s) * 1000, 1)

    @property
    def late(self) -> bool:
        """Whether it has waited too long."""
        return not self.done and time.monotonic() - self.begun_s > ORDER_S

    def answer(self, **result: Any) -> None:
        """Answer it, unless it has been answered."""
        if not self.done:
            self.done = True
            self._tell({"phone": self.phone, "do": self.do, **result})


class Talk(pj.Call):
    """A call of one phone, from the first word to the last.

    Args:
        phone: whose.
        call_id: the library's number of a call that came in.
    """

    def __init__(self, phone: Phone, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone, call_id)
        self.phone = phone
        self.audio = Audio()
        self.asked = call_id != pj.PJSUA_INVALID_ID
        """Came in and is not answered yet."""
        self.audible = False
        self.connected = False
        """The tone is fed into it."""
        self.ended = False
        self.calling: Order | None = None
        self.leaving: Order | None = None

    # --- what the library calls

    def onCallState(self, news: Any) -> None:  # noqa: N802 - the library's name
        """Answer the orders that waited for this state."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED and self.calling is not None:
            took_ms = self.calling.took_ms
            self.calling.answer(answered=True, status=FINAL, setup_ms=took_ms, call_id=info.callIdString)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.ended = True
            if self.calling is not None:
                self.calling.answer(answered=False, status=info.lastStatusCode, setup_ms=self.calling.took_ms)
            if self.leaving is not None:
                # What our BYE was answered with; the call's own last status is 200 whatever came.
                status = news.e.body.tsxState.tsx.statusCode
                self.leaving.answer(hung_up=status == FINAL, **self.audio.counts())

    def onCallMediaState(self, _news: Any) -> None:  # noqa: N802 - the library's name
        """Note whether the call has audio."""
        info = self.getInfo()  # kept by name: what hangs on it is gone with it, whoever else holds that
        self.audible = any(
            media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE for media in info.media
        )
        self.connected = False  # what was connected may have been made anew

    # --- what the loop does

    def attend(self, tone: Any, heard: Any) -> None:
        """Answer, feed and count, as far as it has come.

        Args:
            tone: the port of the tone that it shall hear from us.
            heard: the port that takes what it says.
        """
        if self.calling is not None and self.calling.late:
            self.calling.answer(answered=False, status=0, setup_ms=self.calling.took_ms)
            self.leave()
        if self.leaving is not None and self.leaving.late:
            self.leaving.answer(hung_up=False, **self.audio.counts())
            self.leave()
        if self.ended:
            return
        if self.asked:
            self.asked = False
            self.answer(_status(self.phone.take(self)))
        if self.audible and not self.connected:
            self.connected = True
            port = self.getAudioMedia(-1)
            tone.startTransmit(port)
            port.startTransmit(heard)
        if self.audible and self.leaving is None:
            found = self.getStreamStat(0)  # kept by name, as above
            self.audio.saw(found.rtcp.txStat.pkt, found.rtcp.rxStat.pkt)

    def leave(self) -> None:
        """Give it up, in whatever state it is; the library tells of its end at once."""
        if not self.ended:
            self.hangup(_status(0))

    def say_bye(self, order: Order) -> None:
        """Hang up; the order is answered when the other side has answered."""
        self.leaving = order
        bye = pj.CallSendRequestParam()
        bye.method = "BYE"
        try:
            # Not hangup(): that tells of the end before the BYE is answered, and never of the answer.
            self.sendRequest(bye)
        except pj.Error:
            self.leave()


class Phone(pj.Account):
    """One phone: an account at the phone system, and at most one call at a time.

    Args:
        number: its number and user name.
        server: the phone system's address.
        box: what holds it.
    """

    def __init__(self, number: str, server: str, box: Box) -> None:
        super().__init__()
        self.number, self.server, self.box = number, server, box
        self.talk: Talk | None = None
        self.registering: Order | None = None

    def open(self, password: str, address: str, line: int) -> None:
        """Make the account known to the library, which sends nothing yet.

        Args:
            password: of the account.
            address: the own address.
            line: the library's number of the SIP socket.
        """
        account = pj.AccountConfig()
        account.idUri = f"sip:{self.number}@{self.server}"
        account.regConfig.registrarUri = f"sip:{self.server}"
        account.regConfig.registerOnAdd = False
        account.regConfig.timeoutSec = EXPIRES_S
        account.regConfig.retryIntervalSec = 0  # an order registers again, nobody else
        account.sipConfig.transportId = line
        account.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", self.number, 0, password))
        # As plain as a phone in the same network: no outbound, no keep-alive, no second offer to settle the codec.
        account.natConfig.sipOutboundUse = 0
        account.natConfig.contactRewriteUse = 0
        account.natConfig.viaRewriteUse = False
        account.natConfig.udpKaIntervalSec = 0
        account.mediaConfig.lockCodecEnabled = False
        account.mediaConfig.transportConfig.boundAddress = address
        account.mediaConfig.transportConfig.port = AUDIO_PORT + AUDIO_PORTS * (int(self.number) % 1000)
        self.create(account)

    # --- what the library calls

    def onRegState(self, news: Any) -> None:  # noqa: N802 - the library's name
        """Answer the order that waited for it."""
        if self.registering is not None:
            took_ms = self.registering.took_ms
            self.registering.answer(registered=news.code == FINAL, status=news.code, took_ms=took_ms)

    def onIncomingCall(self, news: Any) -> None:  # noqa: N802 - the library's name
        """Take the call; the loop answers it."""
        self.box.talks.append(Talk(self, news.callId))

    # --- orders

    def register(self, order: Order) -> None:
        """Tell the phone system where we are."""
        self.registering = order
        try:
            self.setRegistration(True)
        except pj.Error as error:
            # One that is under way already will be answered, or not in time.
            if error.status != pj.PJ_EBUSY:
                order.answer(registered=False, status=0, took_ms=order.took_ms)

    def call(self, order: Order, number: str) -> None:
        """Call a number and begin to talk when it answers."""
        if self.talk is not None:
            self.talk.leave()
        self.talk = talk = Talk(self)
        talk.calling = order
        self.box.talks.append(talk)
        try:
            talk.makeCall(f"sip:{number}@{self.server}", pj.CallOpParam(True))
        except pj.Error:
            talk.ended = True
            order.answer(answered=False, status=0, setup_ms=order.took_ms)

    def hang_up(self, order: Order) -> None:
        """End the call, if there is one; what was heard is told with the answer."""
        talk, self.talk = self.talk, None
        if talk is None or talk.ended:
            order.answer(hung_up=False)
            return
        talk.say_bye(order)

    def tell(self, order: Order) -> None:
        """What was sent and heard in the call that runs."""
        order.answer(in_call=self.talk is not None, **(self.talk.audio.counts() if self.talk else {}))

    def take(self, talk: Talk) -> int:
        """The status that a call which came in is answered with: one at a time."""
        if self.talk is not None:
            return BUSY
        self.talk = talk
        return FINAL

    def attend(self) -> None:
        """Give up what has waited too long, and forget a call that has ended."""
        if self.talk is not None and self.talk.ended:
            self.talk = None
        if self.registering is not None and self.registering.late:
            self.registering.answer(registered=False, status=0, took_ms=self.registering.took_ms)


class Box:
    """The endpoint with all phones of one process.

    Args:
        address: the own address.
        server: the phone system's address.
        tell: what takes the answers.
    """

    def __init__(self, address: str, server: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self.address, self.server, self.say = address, server, tell
        self.phones: dict[str, Phone] = {}
        self.talks: list[Talk] = []
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        self.endpoint.libInit(_settings())
        transport = pj.TransportConfig()
        transport.boundAddress = address
        self.line = self.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.endpoint.audDevManager().setNullDev()
        self.endpoint.libStart()
        for codec in self.endpoint.codecEnum2():
            wanted = codec.codecId.startswith(CODECS)
            self.endpoint.codecSetPriority(codec.codecId, codec.priority if wanted else 0)
        self.heard = self.endpoint.audDevManager().getPlaybackDevMedia()
        self.tone = pj.ToneGenerator()
        self.tone.createToneGenerator(8000)
        self.tone.play(pj.ToneDescVector([_tone()]), True)

    def obey(self, said: dict[str, Any]) -> None:
        """Begin one order; its answer comes when it is carried out, or has failed."""
        order = Order(said, self.say)
        phone = self.phones.get(order.phone)
        if phone is None:
            phone = self.phones[order.phone] = Phone(order.phone, self.server, self)
            phone.open(said.get("password", ""), self.address, self.line)
        if order.do == "register":
            phone.register(order)
        elif order.do == "call":
            phone.call(order, said["to"])
        elif order.do == "hangup":
            phone.hang_up(order)
        else:
            phone.tell(order)

    def attend(self) -> None:
        """Let the library work for up to ``POLL_MS``, then do what its news ask for."""
        self.endpoint.libHandleEvents(POLL_MS)
        for talk in self.talks:
            talk.attend(self.tone, self.heard)
        for phone in self.phones.values():
            phone.attend()
        # Only here, never in a callback: the library still holds a call whose end it tells.
        self.talks = [talk for talk in self.talks if not talk.ended]

    def close(self) -> None:
        """Hang up every call, for Asterisk would keep it for ever; whether a BYE is answered is no longer asked."""
        for talk in self.talks:
            talk.leave()
        until_s = time.monotonic() + PARTING_S
        while time.monotonic() < until_s:
            self.endpoint.libHandleEvents(POLL_MS)


def _status(code: int) -> Any:
    wanted = pj.CallOpParam()
    wanted.statusCode = code
    return wanted


def _tone() -> Any:
    tone = pj.ToneDesc()
    tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = TONE_HZ, 0, 1000, 0
    return tone


def _settings() -> Any:
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.uaConfig.maxCalls = MAX_CALLS
    settings.uaConfig.userAgent = "Ishmael lab phone"
    settings.logConfig.level = settings.logConfig.consoleLevel = 1
    settings.medConfig.noVad = True  # silence is sent too
    settings.medConfig.clockRate = 8000
    settings.medConfig.ecTailLen = 0
    return settings


def serve(address: str, server: str) -> None:
    """Carry out orders from standard input, each as soon as it comes, until the input ends."""
    # The library writes its log to standard output, which is for answers here; what counts is in those.
    answers = os.fdopen(os.dup(OUTPUT), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), OUTPUT)

    def tell(result: dict[str, Any]) -> None:
        answers.write(json.dumps(result) + "\n")

    box = Box(address, server, tell)
    rest = b""
    while True:
        box.attend()
        if not select.select([INPUT], [], [], 0)[0]:
            continue
        data = os.read(INPUT, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            box.obey(json.loads(line))
    box.close()


def main() -> None:
    """Serve, and end without unregistering a phone and without running a destructor.

    Destructors of calls and accounts speak on the network while the library runs, and abort once it does not.
    """
    status = 0
    try:
        serve(sys.argv[1], sys.argv[2])
    except BaseException:  # whatever it is, Python's own end would run the destructors
        traceback.print_exc()
        status = Bug.exit_code
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
