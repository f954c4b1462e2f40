"""``python -m ishmael.manager.taken``: hold the former cluster IP at boot, unless somebody else does. No manager needed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ishmael.manager.drivers.network import KernelNetwork
from ishmael.manager.drivers.programs import run, words_of
from ishmael.manager.works.taking import Taken
from ishmael.words import places


def main(argv: list[str] | None = None) -> int:
    """Take the address that the file names; with ``--drop`` let go of it."""
    parser = argparse.ArgumentParser(prog="python -m ishmael.manager.taken", description=__doc__)
    parser.add_argument("--drop", action="store_true", help="let go of the address")
    parser.add_argument("--file", default=places.TAKEN_ADDRESS, help="where the address stands")
    options = parser.parse_args(argv)
    try:
        taken = Taken.from_text(Path(options.file).read_text())
    except (OSError, ValueError) as error:
        print(f"ishmael: {options.file} names no address: {error}", file=sys.stderr)
        return 5
    if options.drop:
        run(["ip", "address", "delete", f"{taken.address}/{taken.prefix}", "dev", taken.nic])
        return 0
    network = KernelNetwork()
    if any(nic.holds(taken.address) for nic in network.nics()):
        return 0
    holder = network.arp(taken.nic, taken.address)
    if holder is not None:
        print(f"ishmael: {taken.address} is not taken: {holder} answers for it on {taken.nic}", file=sys.stderr)
        return 3
    done = run(["ip", "address", "replace", f"{taken.address}/{taken.prefix}", "dev", taken.nic])
    if done.returncode:
        print(f"ishmael: ip address: {words_of(done)}", file=sys.stderr)
        return 5
    # The telephones learn the new hardware address at once; without arping(8) they do when they next ask.
    network.arp(taken.nic, taken.address, sender=taken.address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
