"""The C side of Corosync: structures, callbacks and calls of libcpg and libquorum, as their headers declare them.

Sources: ``corosync/cpg.h``, ``corosync/quorum.h`` and ``corosync/corotypes.h`` of Corosync 3.1; only what the keeper uses.
"""

from __future__ import annotations

import ctypes
from typing import Any

OK, TRY_AGAIN = 1, 6
DISPATCH_ALL = 2
TYPE_AGREED = 2
TRACK_CURRENT_AND_CHANGES = 0x03
CPG_MODEL_V1 = 1
QUORUM_MODEL_V1 = 1


class CpgName(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint32), ("value", ctypes.c_char * 128))


class CpgAddress(ctypes.Structure):
    _fields_ = (("node", ctypes.c_uint32), ("pid", ctypes.c_uint32), ("reason", ctypes.c_uint32))


class RingId(ctypes.Structure):
    _fields_ = (("node", ctypes.c_uint32), ("seq", ctypes.c_uint64))


class IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("len", ctypes.c_size_t))


Addresses = ctypes.POINTER(CpgAddress)
Ids = ctypes.POINTER(ctypes.c_uint32)
Deliver = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, ctypes.POINTER(CpgName), ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t
)
Confchg = ctypes.CFUNCTYPE(
    None,
    ctypes.c_uint64,
    ctypes.POINTER(CpgName),
    *(Addresses, ctypes.c_size_t),
    *(Addresses, ctypes.c_size_t),
    *(Addresses, ctypes.c_size_t),
)
TotemConfchg = ctypes.CFUNCTYPE(None, ctypes.c_uint64, RingId, ctypes.c_uint32, Ids)
QuorumNotify = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint32, RingId, ctypes.c_uint32, Ids)
NodelistNotify = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, RingId, ctypes.c_uint32, Ids, ctypes.c_uint32, Ids, ctypes.c_uint32, Ids
)


class CpgModel(ctypes.Structure):
    _fields_ = (
        ("model", ctypes.c_int),
        ("deliver", Deliver),
        ("confchg", Confchg),
        ("totem_confchg", TotemConfchg),
        ("flags", ctypes.c_uint),
    )


class QuorumModel(ctypes.Structure):
    _fields_ = (("model", ctypes.c_int), ("notify", QuorumNotify), ("nodelist", NodelistNotify))


_HANDLE = ctypes.c_uint64
_POINTER = ctypes.c_void_p
_CPG_CALLS: dict[str, tuple[Any, ...]] = {
    "cpg_model_initialize": (_POINTER, ctypes.c_int, _POINTER, _POINTER),
    "cpg_finalize": (_HANDLE,),
    "cpg_fd_get": (_HANDLE, _POINTER),
    "cpg_dispatch": (_HANDLE, ctypes.c_int),
    "cpg_join": (_HANDLE, _POINTER),
    "cpg_local_get": (_HANDLE, _POINTER),
    "cpg_mcast_joined": (_HANDLE, ctypes.c_int, _POINTER, ctypes.c_uint),
}
_QUORUM_CALLS: dict[str, tuple[Any, ...]] = {
    "quorum_model_initialize": (_POINTER, ctypes.c_int, _POINTER, _POINTER, _POINTER),
    "quorum_finalize": (_HANDLE,),
    "quorum_fd_get": (_HANDLE, _POINTER),
    "quorum_dispatch": (_HANDLE, ctypes.c_int),
    "quorum_trackstart": (_HANDLE, ctypes.c_uint),
}


def load() -> tuple[Any, Any]:
    """The two libraries with their calls typed.

    Raises:
        OSError: Corosync's libraries are not installed.
    """
    return _typed(ctypes.CDLL("libcpg.so.4"), _CPG_CALLS), _typed(ctypes.CDLL("libquorum.so.5"), _QUORUM_CALLS)


def _typed(library: ctypes.CDLL, calls: dict[str, tuple[Any, ...]]) -> ctypes.CDLL:
    for name, argument_types in calls.items():
        function = getattr(library, name)
        function.argtypes = argument_types
        function.restype = ctypes.c_int
    return library
