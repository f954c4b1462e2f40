"""What nodes are made of: a Debian 12 (or 13) root, a Debian sid root with Asterisk, and a layer with the package installed.

Each lies in the cache under a name that contains the hash of its recipe: another recipe, another directory.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from ishmael.lab.build import Build, Say, build_all
from ishmael.lab.plan import CACHE
from ishmael.lab.tools import run
from ishmael.words.errors import RequestRefused

SUITES = {"12": "bookworm", "13": "trixie"}
"""Releases of Debian that a node may be."""
DEBIAN = "12"
NODE_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "ca-certificates", "procps", "less"),
    *("corosync", "libcpg4", "libquorum5", "rsync", "openssh-server", "openssh-client", "postgresql"),
    *("python3", "python3-venv", "iproute2", "nftables", "iputils-ping", "libfaketime"),
    *("dnsmasq", "chrony", "postfix", "libsasl2-modules", "hylafax-server"),
    *("monitoring-plugins-basic", "monitoring-plugins-standard", "monitoring-plugins-contrib", "mdadm"),
)
# Installed as an admin finds them, but nothing of them runs before the product or the admin says so.
RESTING = ("dnsmasq", "chrony", "postfix", "hylafax", "faxq", "hfaxd", "faxgetty", "mdmonitor", "rsync")
ASTERISK_PACKAGES = ("asterisk", "asterisk-modules", "asterisk-core-sounds-en-gsm", "odbc-postgresql")
ASTERISK_UID = 790
DISK_SIZE = "8G"
"""Size of a node's disk; sparse, so it costs what is written."""

# Timers that would fetch or scan; what asks for a terminal; the resolver has nobody to ask.
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "console-getty.service", "getty@tty1.service", "systemd-resolved.service"),
)

_PREPARE = """\
printf '#!/bin/sh\\nexit 101\\n' >"$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/lab"
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive \
  ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} chroot "$@"; }
"""

_FINISH = """\
in_root "$1" apt-get clean
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1/etc/dpkg/dpkg.cfg.d/lab" "$1"/var/log/*.log \
  "$1"/etc/ssh/ssh_host_* "$1/etc/machine-id" "$1/var/lib/dbus/machine-id" "$1/etc/hostname" \
  "$1/etc/resolv.conf"
"""

_NODE_RECIPE = """\
debootstrap --variant=minbase {debian} "$1" {mirror}
{prepare}
mkdir -p "$1/etc/postgresql-common"
echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.conf"
in_root "$1" apt-get -q -y --no-install-recommends install {packages}
in_root "$1" systemctl mask {masked}
in_root "$1" systemctl enable systemd-networkd.service
for unit in {resting}; do in_root "$1" systemctl --quiet disable "$unit.service" || true; done
in_root "$1" groupadd --system --gid {uid} asterisk
in_root "$1" useradd --system --uid {uid} --gid {uid} --home-dir /var/lib/asterisk --shell /usr/sbin/nologin asterisk
mkdir -p "$1/opt/asterisk" "$1/var/log/journal"
rm "$1/usr/sbin/policy-rc.d"
{finish}"""

_ASTERISK_RECIPE = """\
debootstrap --variant=minbase sid "$1" {mirror}
{prepare}
in_root "$1" groupadd --system --gid {uid} asterisk
in_root "$1" useradd --system --uid {uid} --gid {uid} --home-dir /var/lib/asterisk --shell /usr/sbin/nologin asterisk
in_root "$1" apt-get -q -y --no-install-recommends install {packages}
mkdir -p "$1/run/asterisk"
{finish}"""

# The disk is filled here once, so that a new node's is a mere copy of a file.
_LAYER_RECIPE = """\
place=$1
mkdir "$place/over" "$place/work" "$place/root" "$place/disk"
mount -t overlay overlay -o lowerdir={node_root},upperdir="$place/over",workdir="$place/work" "$place/root"
mount --bind /proc "$place/root/proc"
printf '#!/bin/sh\\nexit 101\\n' >"$place/root/usr/sbin/policy-rc.d"
chmod 755 "$place/root/usr/sbin/policy-rc.d"
{install}
rm "$place/root/usr/sbin/policy-rc.d"
umount "$place/root/proc"
truncate -s {size} "$place/disk.ext4"
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0 -O ^metadata_csum_seed "$place/disk.ext4"
mount -o loop "$place/disk.ext4" "$place/disk"
cp -a "$place/root/etc" "$place/root/var" "$place/disk"
umount "$place/disk" "$place/root"
rm -rf "$place/work" "$place/root" "$place/disk"
"""

_INSTALL = """\
cp {package} "$place/root/package.deb"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  chroot "$place/root" dpkg --force-unsafe-io --install /package.deb
rm "$place/root/package.deb"
"""

_INSTALL_MORE = """\
rm -f "$place/root/etc/resolv.conf"
cp -L /etc/resolv.conf "$place/root/etc/resolv.conf"
in_layer() {{ env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  ${{http_proxy:+http_proxy="$http_proxy"}} ${{https_proxy:+https_proxy="$https_proxy"}} chroot "$place/root" "$@"; }}
in_layer apt-get -q update
in_layer apt-get -q -y --no-install-recommends -o DPkg::Options::=--force-unsafe-io install {packages}
in_layer apt-get clean
rm -rf "$place/root"/var/lib/apt/lists/* "$place/root"/var/cache/apt/*.bin "$place/root/etc/resolv.conf"
"""


@dataclass(frozen=True)
class Base:
    """The cached parts a node is stacked from.

    Args:
        node_root: root file system of the nodes' Debian release.
        asterisk_root: Debian sid root file system with Asterisk.
        layer: directory with ``over`` (what installing the package changed) and ``disk.ext4`` (/etc and /var).
    """

    node_root: Path
    asterisk_root: Path
    layer: Path


def _mirror() -> str:
    """The mirror this machine takes its own release from; empty, debootstrap's default, when it names none."""
    codename = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(encoding="utf-8"), re.MULTILINE)
    if codename is None:
        return ""
    targets = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"], check=False
    ).stdout
    for line in targets.splitlines():
        uri, _, release = line.partition(" ")
        if release == codename[1]:
            return uri
    return ""


def _named(kind: str, recipe: str) -> Path:
    return CACHE / f"{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _roots(release: str) -> tuple[Build, Build]:
    words = {"prepare": _PREPARE, "finish": _FINISH, "debian": SUITES[release], "uid": str(ASTERISK_UID)}
    node = words | {"packages": " ".join(NODE_PACKAGES), "masked": " ".join(MASKED), "resting": " ".join(RESTING)}
    asterisk = words | {"packages": " ".join(ASTERISK_PACKAGES)}
    mirror = shlex.quote(_mirror()) if _mirror() else ""

    # The mirror is where a base comes from, not what it is: it has no part in the name.
    def made(title: str, kind: str, recipe: str, words: dict[str, str], lines: int) -> Build:
        target = _named(kind, recipe.format(mirror="", **words))
        return Build(title, target, recipe.format(mirror=mirror, **words), lines)

    return (
        made(f"Debian {release} root", f"debian{release}", _NODE_RECIPE, node, 860),
        made("Asterisk root", "asterisk", _ASTERISK_RECIPE, asterisk, 780),
    )


def newest_package(checkout: Path, release: str = DEBIAN) -> Path:
    """The package to try: the newest for this Debian release in ``dist/``.

    Raises:
        RequestRefused: there is none.
    """
    found = sorted((checkout / "dist").glob(f"ishmael_*deb{release}*.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RequestRefused(
            "no-package",
            f"There is no package for Debian {release} in {checkout / 'dist'}.",
            f"Build it with script/package --release {release}, or name one with --package FILE.",
        )
    return found[-1]


def prepare(package: Path | None, say: Say, more: tuple[str, ...] = (), release: str = DEBIAN) -> Base:
    """Build what is missing and name the parts.

    Args:
        package: the Debian package to install in the nodes; None for plain nodes.
        say: gets a line of progress now and then.
        more: packages of the nodes' Debian release to install besides, such as other cluster software to compare with.
        release: of Debian, one of ``SUITES``.
    """
    node, asterisk = _roots(release)
    build_all((node, asterisk), say)
    install = _INSTALL.format(package=shlex.quote(str(package))) if package else ":"
    if more:
        install = _INSTALL_MORE.format(packages=" ".join(more))
    recipe = _LAYER_RECIPE.format(node_root=node.target, install=install, size=DISK_SIZE)
    content = hashlib.sha256(package.read_bytes()).hexdigest() if package else f"plain{install if more else ''}"
    key = hashlib.sha256(f"{content} {node.target.name} {_LAYER_RECIPE} {_INSTALL} {DISK_SIZE}".encode())
    layer = CACHE / f"{'more' if more else 'layer'}-{key.hexdigest()[:12]}"
    title = f"layer with {package.name}" if package else f"layer with {', '.join(more) or 'no package'}"
    build_all((Build(title, layer, recipe, 60),), say)
    return Base(node.target, asterisk.target, layer)
