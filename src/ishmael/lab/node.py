"""One node: a Debian system booted in a container of its own, that can lose its power.

``/etc`` and ``/var`` lie on an ext4 image; the rest of the root is an overlay. Both are mounted in the mount namespace
of the container alone, so they vanish with it, and a boot mounts them anew and replays the journal.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ishmael.lab import asterisk_files, cgroups, network, node_files
from ishmael.lab.base import Base
from ishmael.lab.build import isolated
from ishmael.lab.plan import LabPlan, NodePlan
from ishmael.lab.tools import children_of, clean_environment, run, started_at, wait_until
from ishmael.words.errors import HostFault, RequestRefused

BOOT_TIMEOUT_S = 120.0
HALT_TIMEOUT_S = 20.0
EXIT_TIMED_OUT = 124
ENTER = Path(__file__).with_name("enter.py")
EXT4_IOC_SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32): linux/fs/ext4/ext4.h."""
SHUTDOWN_NOLOGFLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what the journal has not on disk yet is lost, as in a power cut."""

# Runs outside the container and boots it again when it asks for that (exit code 133, systemd-nspawn(1)).
_SUPERVISOR = """\
for group in {supervisor_groups}; do echo $$ >"$group/cgroup.procs"; done
while :; do
  turns=0
  while [ -n "$(losetup --associated {image})" ] && [ $turns -lt 200 ]; do turns=$((turns + 1)); sleep 0.05; done
{renewal}
  code=0
  unshare --mount --propagation private sh -eu {inside} || code=$?
  [ "$code" = 133 ] || exit "$code"
done
"""

_INSIDE = """\
for group in {groups}; do echo $$ >"$group/cgroup.procs"; done
cd {store}
mount -t overlay overlay -o lowerdir={layer}/over:{node_root},upperdir=upper,workdir=work root
mount -o loop disk.ext4 disk
mount --bind disk/etc root/etc
mount --bind disk/var root/var
mount -t overlay overlay -o lowerdir={asterisk_root},upperdir=asterisk-upper,workdir=asterisk-work root/opt/asterisk
umount --lazy disk
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory={store}/root --machine={machine} \\
  --uuid={machine_id} --capability=CAP_NET_ADMIN,CAP_IPC_LOCK --network-namespace-path=/run/netns/{netns} \\
  --resolv-conf=off --timezone=off --link-journal=no --console=read-only
"""

# The staged files are the admin's; they are on the disk before the machine first boots.
_PERSONALISE = """\
store=$1 files=$2 asterisk=$3
mount -o loop "$store/disk.ext4" "$store/disk"
for path in {data}; do cp -a "$asterisk/$path" "$store/disk/$path"; done
cp -r --no-preserve=all "$files/." "$store/disk"
mkdir -p "$store/disk/var/lib/asterisk/keys"
chown -R {uid}:{uid} "$store/disk/etc/asterisk" "$store/disk/var/lib/asterisk"
ln -s ../lab-echo.service "$store/disk/etc/systemd/system/multi-user.target.wants/lab-echo.service"
for kind in ed25519 ecdsa; do
  ssh-keygen -q -t $kind -N '' -C root@{name} -f "$store/disk/etc/ssh/ssh_host_${{kind}}_key"
done
umount "$store/disk"
"""


@dataclass(frozen=True)
class Outcome:
    """What a command in a node ended with."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Node:
    """A node of a lab, made or not, running or not."""

    lab: LabPlan
    plan: NodePlan

    @property
    def cgroup(self) -> str:
        return f"{self.lab.cgroup}/{self.plan.name}"

    @property
    def supervisor_cgroup(self) -> str:
        return f"{self.lab.cgroup}/supervisor-{self.plan.name}"

    @property
    def console(self) -> Path:
        """What the node wrote on its console while booting."""
        return self.plan.run_directory / "console.log"

    def make(self, base: Base, asterisk_uid: int) -> None:
        """Make the node's disk and the scripts that boot it."""
        store, here = self.plan.store, self.plan.run_directory
        for name in ("upper", "work", "root", "disk", "asterisk-upper", "asterisk-work"):
            (store / name).mkdir(parents=True)
        here.mkdir(parents=True, exist_ok=True)
        run(["cp", "--sparse=always", str(base.layer / "disk.ext4"), str(self.plan.image)])
        files = here / "files"
        _write_all(files, {**node_files.system_files(self.plan), **asterisk_files.asterisk_files()})
        _write_all(store / "upper", {**node_files.program_files(), **asterisk_files.program_files()}, mode=0o755)
        data = " ".join(asterisk_files.DATA)
        script = _PERSONALISE.format(name=self.plan.name, uid=asterisk_uid, data=data)
        run(isolated(script, str(store), str(files), str(base.asterisk_root)))
        shutil.rmtree(files)
        self._write_scripts(base)

    def _write_scripts(self, base: Base) -> None:
        here, store = self.plan.run_directory, self.plan.store
        groups = " ".join(str(directory) for directory in cgroups.directories(self.cgroup))
        supervisor = " ".join(str(directory) for directory in cgroups.directories(self.supervisor_cgroup))
        renewal = network.renewal(self.lab, self.plan)
        inside = here / "inside.sh"
        inside.write_text(
            _INSIDE.format(
                groups=groups,
                store=store,
                layer=base.layer,
                node_root=base.node_root,
                asterisk_root=base.asterisk_root,
                machine=self.plan.machine,
                machine_id=self.plan.machine_id,
                netns=self.plan.netns,
            ),
            encoding="utf-8",
        )
        (here / "supervisor.sh").write_text(
            _SUPERVISOR.format(supervisor_groups=supervisor, image=self.plan.image, renewal=renewal, inside=inside),
            encoding="utf-8",
        )

    def boot(self) -> None:
        """Switch the node on; returns at once.

        Raises:
            RequestRefused: it is running.
        """
        if self.supervisor_pid is not None:
            raise RequestRefused("node-running", f"{self.plan.name} is running.")
        # Anew: what starts in a group that was killed once (cgroup.kill) is killed by some kernels, too.
        for group in (self.cgroup, self.supervisor_cgroup):
            cgroups.remove(group)
            cgroups.create(group)
        here = self.plan.run_directory
        with self.console.open("wb") as console:
            process = subprocess.Popen(
                ["sh", "-eu", str(here / "supervisor.sh")],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                env=clean_environment(),
            )
        (here / "supervisor").write_text(f"{process.pid} {started_at(process.pid)}\n", encoding="ascii")

    @property
    def supervisor_pid(self) -> int | None:
        """Process id of what boots the container; None when the node is off."""
        try:
            pid, started = (self.plan.run_directory / "supervisor").read_text(encoding="ascii").split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if str(started_at(int(pid))) == started else None

    @property
    def init_pid(self) -> int | None:
        """Process id, on the host, of the node's first process; None while there is none."""
        pid = self.supervisor_pid
        for _ in range(2):
            if pid is None:
                return None
            pid = next(iter(children_of(pid)), None)
        return pid if pid is not None and _is_init(pid) else None

    def command(self, command: Sequence[str]) -> list[str]:
        """The command line, on the host, that runs a command in the node: its namespaces, its control group.

        Raises:
            RequestRefused: the node is off.
        """
        pid = self.init_pid
        if pid is None:
            raise RequestRefused("node-off", f"{self.plan.name} is off.", f"ishmael lab reboot {self.plan.name}")
        groups = " ".join(str(directory / "payload" / "lab") for directory in cgroups.directories(self.cgroup))
        return [sys.executable, "-I", "-S", str(ENTER), str(pid), groups, "--", *command]

    def exec(self, command: Sequence[str], *, timeout_s: float = 60.0, stdin: str = "") -> Outcome:
        """Run a command in the node and return what it said; exit code 124 when it took too long."""
        process = subprocess.Popen(
            self.command(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            said, complained = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return Outcome(EXIT_TIMED_OUT, "", f"took more than {timeout_s:.0f} s")
        return Outcome(process.returncode, said, complained)

    def say(self, command: Sequence[str], *, timeout_s: float = 60.0, stdin: str = "") -> str:
        """Run a command in the node that must succeed and return its output.

        Raises:
            HostFault: it failed.
        """
        done = self.exec(command, timeout_s=timeout_s, stdin=stdin)
        if done.returncode != 0:
            text = (done.stderr or done.stdout).strip().splitlines()
            last = text[-1] if text else "no output"
            raise HostFault("command-failed", f"'{' '.join(command)}' on {self.plan.name} failed: {last}")
        return done.stdout

    def wait_running(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Wait until the node has booted.

        Raises:
            HostFault: it did not in time, or a unit of it failed.
        """
        said = ""

        def booted() -> bool:
            nonlocal said
            if self.supervisor_pid is None:
                raise HostFault("node-died", f"{self.plan.name} did not boot.", f"Its console: {self.console}")
            if self.init_pid is None:
                return False
            said = self.exec(["systemctl", "is-system-running"], timeout_s=10).stdout.strip()
            return said in ("running", "degraded")

        if not wait_until(booted, timeout_s, 0.1):
            raise HostFault(
                "node-slow", f"{self.plan.name} has not booted in {timeout_s:.0f} s ({said or 'no answer'})."
            )
        if said == "degraded":
            failed = self.exec(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).stdout
            units = ", ".join(line.split()[0] for line in failed.splitlines() if line)
            raise HostFault(
                "unit-failed", f"Units of {self.plan.name} failed: {units}.", f"ishmael lab shell {self.plan.name}"
            )

    def stand_still(self) -> None:
        """No process of it runs from now on: without power none sees its own links go."""
        cgroups.freeze(self.cgroup, frozen=True)

    def power_cut(self) -> None:
        """Lose the power: what was not synced is gone, every process dies, both links lose their carrier."""
        pid = self.init_pid
        if pid is None:
            raise RequestRefused("node-off", f"{self.plan.name} is off already.")
        disk = os.open(f"/proc/{pid}/root/var", os.O_RDONLY)
        try:
            self.stand_still()
            network.cut(self.plan)
            fcntl.ioctl(disk, EXT4_IOC_SHUTDOWN, struct.pack("=I", SHUTDOWN_NOLOGFLUSH))
            cgroups.kill(self.cgroup)
        finally:
            os.close(disk)
        self.wait_off()

    def halt(self) -> None:
        """Shut the node down in order, as its power button would."""
        if self.init_pid is not None:
            self.exec(["systemctl", "poweroff"], timeout_s=5)
            if not wait_until(lambda: self.supervisor_pid is None, HALT_TIMEOUT_S):
                cgroups.kill(self.cgroup)
        self.wait_off()

    def wait_off(self) -> None:
        """Wait until nothing of the node runs and its disk is released.

        Raises:
            HostFault: something of it stays.
        """
        cgroups.empty(self.cgroup, HALT_TIMEOUT_S)
        cgroups.empty(self.supervisor_cgroup, HALT_TIMEOUT_S)
        if not wait_until(lambda: not loop_devices(self.plan.image), HALT_TIMEOUT_S, 0.02):
            raise HostFault("disk-busy", f"The disk of {self.plan.name} is still in use: {self.plan.image}")
        # systemd-nspawn leaves this behind when it is killed.
        with suppress(OSError):
            Path("/run/systemd/nspawn/propagate", self.plan.machine).rmdir()


def _write_all(root: Path, files: Mapping[str, str], mode: int = 0o644) -> None:
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
        target.chmod(mode)


def _is_init(pid: int) -> bool:
    """Whether this process is the first of a PID namespace below ours (proc(5), NSpid)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("NSpid:"):
                return len(line.split()) > 2 and line.split()[-1] == "1"
    return False


def loop_devices(image: Path) -> list[str]:
    """Loop devices that hold an image."""
    shown = run(["losetup", "--associated", str(image), "--noheadings", "--output", "NAME"], check=False).stdout
    return shown.split()
