"""A machine in a folder: Debian by mmdebstrap, entered through namespaces of its own (mounts, processes), with this network.

Root only. What a machine needs to reach the package indexes as this one does is lent to it: resolver, hosts, certificates.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.fresh.machines import README, USER, Machine

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
UID = 1000
ENTER = """
set -e
mount -t proc proc "$1/proc"
mount --rbind /sys "$1/sys"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 run "$1/run"
mount --bind "$2" "$1/mnt/given"
mount --bind "$3" "$1/mnt/cache"
[ -z "$4" ] || mount --bind -o ro "$4" "$1/mnt/data"
[ -z "$5" ] || mount --bind -o ro "$5" "$1$5"
root=$1 user=$6; shift 6
exec chroot --userspec="$user" --groups= "$root" "$@"
"""
"""root, what is given, cache, data, interpreter, UID:GID, command ..."""


def lent_python(version: str) -> Path | None:
    """This machine's pyenv interpreter of a version, for machines whose Debian has none; also that of the user who typed sudo."""
    homes = [Path.home(), Path(f"~{os.environ.get('SUDO_USER', 'root')}").expanduser()]
    return next((path for home in homes for path in sorted(home.glob(f".pyenv/versions/{version}.*"), reverse=True)), None)


def make(machine: Machine, folder: Path) -> Path:
    """The root of a new machine. Raises subprocess.CalledProcessError with what the failing step printed."""
    packages = ",".join([*README, *machine.installed, "locales", "passwd"])
    base = folder / f"{machine.suite}-{hashlib.sha256(packages.encode()).hexdigest()[:12]}.tar"
    if not base.is_file():
        made = base.with_suffix(".new.tar")
        _run("mmdebstrap", "--variant=apt", f"--include={packages}", machine.suite, made)
        made.rename(base)
    root = folder / machine.name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    _run("tar", "-xf", base, "-C", root)
    _run("chroot", root, "useradd", "--create-home", "--uid", str(UID), USER)
    if machine.locale not in ("C", "C.UTF-8"):
        _run("chroot", root, "localedef", "-i", machine.locale.partition(".")[0], "-f", "UTF-8", machine.locale)
    for name in ("given", "cache", "data"):
        (root / "mnt" / name).mkdir()
    for file in (Path("/etc/resolv.conf"), Path("/etc/hosts"), CERTIFICATES):
        if file.exists():
            target = root / file.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    if machine.python and (python := lent_python(machine.python)):
        (root / python.relative_to("/")).mkdir(parents=True)
        # the way to it may be closed to others on this machine
        for parent in (root / python.relative_to("/")).parents:
            if parent == root:
                break
            parent.chmod(0o755)
    return root


def enter(machine: Machine, folder: Path, given: Path, data: Path | None) -> tuple[list[str], dict[str, str]]:
    """The command to which a shell line is appended, and its whole environment. All processes end with the command."""
    uid = 0 if machine.root else UID
    cache = folder / f"cache-{uid}"
    cache.mkdir(exist_ok=True)
    os.chown(cache, uid, uid)
    python = lent_python(machine.python) if machine.python else None
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": machine.home,
        "USER": "root" if machine.root else USER,
        "LANG": machine.locale,
        "PIP_CACHE_DIR": "/mnt/cache",
    }
    if CERTIFICATES.exists():
        environment["PIP_CERT"] = os.fspath(CERTIFICATES)
    if machine.data:
        environment["NCS_CLUSTER_TEST_DATA"] = "/mnt/data"
    mine = os.fspath(data) if machine.data and data else ""
    lent = os.fspath(python or "")
    command = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"]
    command += [os.fspath(folder / machine.name), os.fspath(given), os.fspath(cache), mine, lent, f"{uid}:{uid}"]
    return [*command, "/bin/sh", "-c"], environment


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
