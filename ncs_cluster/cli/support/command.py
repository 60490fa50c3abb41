"""The command: collects, packs, says what is in it."""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ncs_cluster.cli import fresh_file

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
README = """A support bundle of ncs_cluster, made by ncsctl support-bundle.

Tokens, passwords and user names of addresses, as far as ncsctl can know them, are replaced by ***. Names and addresses of cameras
and machines, ports, events and log lines are in it: read it before you give it away.
"""


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    made = command("support-bundle", _make, "pack status, events, settings, log and facts of the machine, without secrets")
    made.add_argument("file", metavar="FILE.tar.gz", type=Path, help="the file to write, readable by you alone")
    made.add_argument("--config", metavar="FILE", type=Path, help="the daemon's settings; else as its command line says")
    made.add_argument("--force", action="store_true", help="replace a file that is there")


def _make(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.support.collect import Bundle

    fresh_file.check(given.file, force=given.force)
    files = {"README.txt": README, **Bundle(getattr(given, "runtime_dir", None), given.config).finished()}
    data = packed(files, time.time())
    fresh_file.write(given.file, data, force=given.force, mode=0o600)
    for name, text in files.items():
        note = f"  {text.splitlines()[0]}" if text.startswith("cannot be collected: ") else ""
        print(f"{len(text.encode()):>9,} bytes  {name}{note}")
    print(f"{given.file} has {len(data):,} bytes. Read it before you give it away: tar -xzOf {given.file} | less")
    return 0


def packed(files: Mapping[str, str], at: float) -> bytes:
    """A .tar.gz of one folder. `at`: Unix seconds."""
    import tarfile

    folder = time.strftime("ncs-support-%Y%m%d-%H%M%S", time.localtime(at))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            data = text.encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), int(at), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
