"""The cluster IP on a lease: the kernel itself removes it when the keeper no longer refreshes it.

How it is added, and why:

* **/32**. With the network's own prefix length it would be a *secondary* of the node's own address: whoever removes the own
  address (a DHCP client, an admin) would remove the cluster IP with it, or, when it comes first, the other way round, unless
  ``promote_secondaries`` is set everywhere. A /32 depends on no other address, and no route is made for it.
* **Scope host**. The kernel chooses the source of outgoing packets among addresses whose scope reaches the target, so it never
  takes the cluster IP by itself, in whatever order the addresses came: not through a gateway, not by a route without one, not
  for multicast. (With scope link it would even stand before the own address, for the kernel sorts by scope; with scope global
  it would be taken when the own address is renewed while the cluster IP is held.) Programs that bind to it (Asterisk) and
  answers to what was sent to it use it as ever. Scope does not matter to receiving, nor to ARP unless ``arp_ignore`` is 3.
* **Lifetime** in whole seconds (``IFA_CACHEINFO``), preferred and valid alike. It runs on the kernel's own clock (jiffies):
  steps of the wall clock do not touch it.

A refresh looks first whether the address is still there, for the kernel would add it anew: a lease that has lapsed is never
renewed by refreshing (rule 9). Should the process be stopped exactly between look and refresh, the pause rule catches it.
"""

from __future__ import annotations

import errno
import os
import socket

from ishmael.keeper.netlink import SCOPE_HOST, Netlink

PREFIX_BITS = 32


class AddressLease:
    """One IPv4 address on one NIC, held for ``lease_s`` at a time.

    Args:
        nic: name of the interface.
        ip: dotted.
        lease_s: how long the kernel keeps the address after the last refresh, whole seconds, at least 1.
        prefix: bits; see the module for why 32.
    """

    def __init__(self, nic: str, ip: str, lease_s: int, prefix: int = PREFIX_BITS) -> None:
        if lease_s < 1:
            raise ValueError(f"a lease of {lease_s} s is none: the kernel counts whole seconds")
        self.nic = nic
        self.ip = ip
        self._lease_s = lease_s
        self._prefix = prefix
        self._netlink = Netlink()

    def take(self) -> None:
        """Hold the address from now on; also right when a former keeper left it there.

        Raises:
            OSError: ENODEV without the NIC; the kernel's refusal otherwise.
        """
        self._netlink.set_address(self._index(), self.ip, self._prefix, self._lease_s, SCOPE_HOST)

    def refresh(self) -> bool:
        """Let the lease begin anew.

        Returns:
            False when the address is gone: it stays gone until ``take``.

        Raises:
            OSError: the kernel's refusal.
        """
        if not self.holds():
            return False
        self.take()
        return True

    def drop(self) -> bool:
        """Remove the address at once, every copy of it on this NIC.

        Returns:
            False when it was not there.

        Raises:
            OSError: the kernel's refusal; never because NIC or address are missing.
        """
        try:
            index = self._index()
        except OSError as error:
            if error.errno == errno.ENODEV:
                return False
            raise
        was_there = False
        while self._netlink.delete_address(index, self.ip):
            was_there = True
        return was_there

    def holds(self) -> bool:
        """Whether the kernel has the address on this NIC now."""
        try:
            return any(one.ip == self.ip for one in self._netlink.addresses(self._index()))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return False
            raise

    def close(self) -> None:
        """Close the socket; the address stays until its lease ends."""
        self._netlink.close()

    def _index(self) -> int:
        try:
            return socket.if_nametoindex(self.nic)
        except OSError as error:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), self.nic) from error
