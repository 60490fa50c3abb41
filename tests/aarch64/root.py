"""A 64-bit ARM Debian 12 to run Python in on this processor: unpacked packages and wheels in a folder, and qemu-user to run them.

Nothing is installed: apt works on lists and a status of its own, and no package's script runs. The folder is kept between test runs
and made anew when what it holds is asked for differently.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

QEMU, CC = "qemu-aarch64", "aarch64-linux-gnu-gcc"
DEBIAN = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n"
PACKAGES = ["python3.11", "libusb-1.0-0", "libstdc++6", "libgomp1"]
WHEELS = ["numpy>=1.26,<3", "msgspec>=0.19,<1", "opencv-python-headless>=4.10,<5", "pytest>=8.2,<10", "hypothesis>=6.100,<7"]
PLATFORMS = ["manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64", "manylinux_2_35_aarch64"]
APT = """\
APT::Architecture "arm64"; APT::Architectures {{ "arm64"; }}; APT::Sandbox::User "root"; APT::Install-Recommends "false";
Dir::Etc "{apt}/etc"; Dir::State "{apt}/state"; Dir::State::status "{apt}/state/status"; Dir::Cache "{apt}/cache";
"""
LAUNCHER = """\
#!/bin/sh
exec {qemu} -L {root} {root}/usr/bin/python3.11 "$@"
"""


def lacking() -> str | None:
    """What this machine needs first, in words."""
    for command, package in ((QEMU, "qemu-user"), (CC, "gcc-aarch64-linux-gnu"), ("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        if shutil.which(command) is None:
            return f"there is no {command}: apt install {package}"
    return None


def make(folder: Path) -> Path:
    """The interpreter of the ARM root in `folder`. Raises RuntimeError with the words of the step that failed."""
    wanted, stamp = "\n".join([DEBIAN, *PACKAGES, *WHEELS, LAUNCHER]), folder / "made-of"
    python = folder / "python"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    root, apt = folder / "root", folder / "apt"
    for each in ("etc/preferences.d", "etc/trusted.gpg.d", "state/lists/partial", "cache/archives/partial"):
        (apt / each).mkdir(parents=True)
    (apt / "etc/sources.list").write_text(DEBIAN)
    (apt / "state/status").touch()
    (apt / "conf").write_text(APT.format(apt=apt))
    environment = os.environ | {"APT_CONFIG": os.fspath(apt / "conf")}
    _run(["apt-get", "update", "-qq"], environment)
    _run(["apt-get", "install", "-y", "-qq", "--download-only", *PACKAGES], environment)
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", os.fspath(package), os.fspath(root)], environment)
    tags = ["--python-version", "311", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    for platform in PLATFORMS:
        tags += ["--platform", platform]
    target = ["--target", os.fspath(root / "usr/lib/python3/dist-packages")]
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *tags, *target, *WHEELS], os.environ.copy())
    python.write_text(LAUNCHER.format(qemu=shutil.which(QEMU), root=shlex.quote(os.fspath(root))))
    python.chmod(0o755)
    shutil.rmtree(apt)
    stamp.write_text(wanted)
    return python


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-1500:]}")
