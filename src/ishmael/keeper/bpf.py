"""Classic BPF: a filter in the kernel, so that what concerns nobody here does not wake the keeper. Source: ``linux/filter.h``."""

from __future__ import annotations

import ctypes
import socket
import struct

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""

LOAD_WORD, LOAD_HALF, JUMP_EQUAL, RETURN = 0x20, 0x28, 0x15, 0x06
_SO_ATTACH_FILTER = 26


def attach(to: socket.socket, program: list[Instruction]) -> None:
    """Have the kernel drop whatever the program returns 0 for.

    Args:
        to: the socket; an older program of it is replaced.
        program: at least one instruction; loads are in network byte order.

    Raises:
        OSError: the kernel refuses the program.
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer)))
