"""A Debian made from nothing, with what the package depends on, to boot without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = "systemd,udev,dbus,python3,libusb-1.0-0,init-system-helpers,ca-certificates,passwd,man-db"
TIMEOUT_S = 2400.0
RIG_TARGET = "[Unit]\nRequires=sysinit.target dbus.socket\nAfter=sysinit.target\nWants=rig.service\nAllowIsolate=yes\n"
RIG_SERVICE = """
[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=file:/out/log
StandardError=file:/out/log
"""


def make(suite: str, cache: Path, root: Path) -> None:
    """The root, from an archive in `cache` that mmdebstrap has made; delete the archive for newer packages. Raises
    subprocess.CalledProcessError."""
    archive = cache / f"{suite}.tar"
    if not archive.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        coming = cache / f"{suite}.new.tar"
        command = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}", suite, str(coming)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        coming.rename(archive)
    root.mkdir()
    subprocess.run(["tar", "--extract", "--numeric-owner", "--file", archive, "--directory", root], check=True)
    # manuals and folders of locales are left out of small images; a package's own must be found
    shutil.rmtree(root / "etc/dpkg/dpkg.cfg.d", ignore_errors=True)


def boot(root: Path, folder: Path, command: str, binds: list[str]) -> str:
    """Boots it, runs the command as root, and ends; what nspawn has said. Its output is in `out/log` of `folder`."""
    system = root / "etc/systemd/system"
    (system / "rig.target").write_text(RIG_TARGET)
    (system / "rig.service").write_text(f"{RIG_SERVICE}ExecStart={command}\n")
    nspawn = [
        *("systemd-nspawn", "--quiet", "-D", os.fspath(root), "--register=no", "--keep-unit", "--private-network"),
        *(f"--machine=ncs-package-{os.getpid()}", "--boot", "--console=pipe", f"--bind={folder / 'out'}:/out", *binds),
        "systemd.unit=rig.target",
    ]
    # its own mount namespace: nothing stays behind in /run, whatever happens
    script = 'mkdir -p /run/systemd/nspawn && mount -t tmpfs none /run/systemd/nspawn && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *nspawn],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout
