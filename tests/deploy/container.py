"""systemd booted in a container (systemd-nspawn) over this machine's own files, which it cannot change."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.needs import missing, need_program

TIMEOUT_S = 180.0
RIG_TARGET = "[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nWants=rig.service\nAllowIsolate=yes\n"
RIG_SERVICE = """
[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=170
StandardOutput=file:/out/log
StandardError=file:/out/log
"""


def need_container() -> None:
    __tracebackhide__ = True
    if os.geteuid() != 0:
        missing("only root may start a container: run the tests as root")
    need_program("systemd-nspawn", "systemd-container")


def booted(folder: Path, commands: Sequence[str], binds: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Boots, runs the commands one after another as root until one fails, and ends; what nspawn has said.

    `binds`: the folder's `out` as /out, where the commands' output becomes the file `log`, and more. `env`: of systemd-nspawn.
    Skips where systemd does not boot."""
    root = folder / "root"
    root.mkdir()
    (folder / "rig.target").write_text(RIG_TARGET)
    (folder / "rig.service").write_text(RIG_SERVICE + "".join(f"ExecStart={command}\n" for command in commands))
    units = [f"--bind-ro={folder / name}:/etc/systemd/system/{name}" for name in ("rig.target", "rig.service")]
    command = [
        *("systemd-nspawn", "--quiet", "-D", os.fspath(root), "--volatile=overlay", "--register=no", "--keep-unit"),
        *("--private-network", f"--machine=ncs-cluster-{os.getpid()}", "--boot", "--console=pipe"),
        *(*binds, *units, "systemd.unit=rig.target"),
    ]
    # its own mount namespace: nothing stays mounted or behind in /run, whatever happens
    script = 'mount --bind / "$1" && mkdir -p /run/systemd/nspawn && mount -t tmpfs none /run/systemd/nspawn && shift && exec "$@"'
    try:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", os.fspath(root), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            env={**os.environ, **(env or {})},
        )
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        said = f"not done after {TIMEOUT_S:g} s: {error.output!r}"
    if not (folder / "out" / "log").exists():
        missing(f"systemd does not boot in a container here: {said[-1000:]}")
    return said
