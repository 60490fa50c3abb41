"""The recorder of capture.c: compiled with the machine's C compiler, and preloaded before a command's libusb."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ncs_cluster.errors import NcsClusterError

SOURCE = Path(__file__).with_name("capture.c")
NAME = "libusb-1.0.so.0"
FLAGS = ["-std=gnu99", "-O2", "-shared", "-fPIC", f"-Wl,-soname,{NAME}"]
COMPILING_S = 120.0
WHERE = """
import ctypes, os, sys
name = sys.argv[1]
ctypes.CDLL(name)
print(next(line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if os.path.basename(name).split(".so")[0] in line))
"""
"""Loads a library by name and prints its file."""


def compile_into(folder: Path) -> Path:
    """The library, compiled into `folder`. Raises NcsClusterError without a compiler."""
    compiler = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise NcsClusterError("usb-capture needs a C compiler: install gcc (Debian, Ubuntu: apt install gcc libc6-dev)")
    made = folder / NAME
    command = [*shlex.split(compiler), *FLAGS, "-o", os.fspath(made), os.fspath(SOURCE), "-ldl", "-lpthread"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=COMPILING_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NcsClusterError(f"usb-capture: {compiler} did not compile the recorder: {error}") from error
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip().partition("\n")[0])
        raise NcsClusterError(f"usb-capture: {compiler} did not compile the recorder: {first or f'exit code {done.returncode}'}")
    return made


def real_libusb(environ: Mapping[str, str], given: str | None = None) -> str:
    """Path of the libusb a command with this environment loads. Raises NcsClusterError without one."""
    name = given or NAME
    command = [sys.executable, "-I", "-S", "-c", WHERE, name]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, errors="replace", timeout=30, check=False)
    if done.returncode:
        raise NcsClusterError(
            f"{name} cannot be loaded: install libusb (Debian, Ubuntu: apt install libusb-1.0-0) or name the file with --libusb"
        )
    return done.stdout.strip()


def environment(environ: Mapping[str, str], library: Path, real: str, logs: Path, keep: int) -> dict[str, str]:
    """Environment in which a command loads the recorder."""
    before = environ.get("LD_LIBRARY_PATH", "")
    return {
        **environ,
        "LD_LIBRARY_PATH": os.pathsep.join([os.fspath(library.parent), *([before] if before else [])]),
        "NCS_USB_CAPTURE": os.fspath(logs),
        "NCS_USB_CAPTURE_NEXT": real,
        "NCS_USB_CAPTURE_KEEP": str(keep),
    }
