"""Compiles libusb.c with the machine's C compiler."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("libusb.c")
NAME = "libusb-1.0.so.0"
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-shared", "-fPIC", "-pthread", f"-Wl,-soname,{NAME}"]


def compiler() -> list[str] | None:
    """The compiler's command; None without one."""
    chosen = shlex.split(os.environ.get("CC", "")) or [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]
    return chosen or None


def sanitizer() -> str | None:
    """Path of the address sanitizer, which an uninstrumented program must preload; None without one."""
    command = compiler()
    if command is None:
        return None
    asked = subprocess.run([*command, "-print-file-name=libasan.so"], capture_output=True, text=True, check=False)
    path = asked.stdout.strip()
    return path if asked.returncode == 0 and os.path.isabs(path) else None


def compile_library(folder: Path, *flags: str) -> Path:
    """libusb-1.0.so.0 in the folder, for LD_LIBRARY_PATH. Raises RuntimeError without a compiler, or with its error."""
    command = compiler()
    if command is None:
        raise RuntimeError("the emulated libusb needs a C compiler: install gcc (apt install gcc libc6-dev), or set CC")
    target = folder / NAME
    done = subprocess.run([*command, *FLAGS, *flags, "-o", str(target), str(SOURCE)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} could not compile {SOURCE.name}: {done.stderr.strip()[-2000:]}")
    return target


if __name__ == "__main__":
    # python -m ncs_cluster.emulator.build FOLDER
    try:
        print(compile_library(Path(sys.argv[1])))
    except RuntimeError as error:
        sys.exit(str(error))
