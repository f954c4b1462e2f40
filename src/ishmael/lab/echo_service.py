"""The echo service of a node, as ``python3 lab-echo``: tells who answers on the cluster IP. Standard library only.

It listens on all addresses and answers from the one it was asked on, so it works whenever the node holds the address.
"""

from __future__ import annotations

import socket
import sys

IP_PKTINFO = 8
"""linux/in.h; Python 3.11 has no name for it."""


def serve(port: int) -> None:
    """Answer each datagram with itself, a space and this node's name, for ever.

    Args:
        port: UDP port to listen on.
    """
    name = socket.gethostname().encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        asked.bind(("", port))
        while True:
            data, ancillary, _, sender = asked.recvmsg(512, 64)
            # struct in_pktinfo: interface index, local address, destination; the answer leaves from the second.
            control = [(level, kind, bytes(4) + info[4:8] + bytes(4)) for level, kind, info in ancillary]
            try:
                asked.sendmsg([data + b" " + name], control, 0, sender)
            except OSError:
                # The address has gone between question and answer: silence is the truth.
                continue


if __name__ == "__main__":
    serve(int(sys.argv[1]))
