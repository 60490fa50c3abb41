"""The same package under another version, without packing its files again: for the tests of an upgrade."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

HEADER = 60
MAGIC = b"!<arch>\n"


def repacked(package: Path, version: str, folder: Path) -> Path:
    """A copy of `package` in `folder` whose control file has `version`."""
    members = _members(package.read_bytes())
    control = subprocess.run(["dpkg-deb", "--ctrl-tarfile", package], check=True, capture_output=True).stdout
    written = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(control)) as before, tarfile.open(fileobj=written, mode="w") as after:
        for member in before:
            content = before.extractfile(member)
            data = content.read() if content else b""
            if member.name == "./control":
                lines = data.decode().splitlines()
                lines = [f"Version: {version}" if line.startswith("Version:") else line for line in lines]
                data = ("\n".join(lines) + "\n").encode()
                member.size = len(data)
            after.addfile(member, io.BytesIO(data) if member.isfile() else None)
    made = folder / f"ncs-cluster_{version}_repacked.deb"
    with made.open("wb") as file:
        file.write(MAGIC)
        for name, data in members:
            is_control = name.startswith("control.tar")
            _append(file, "control.tar" if is_control else name, written.getvalue() if is_control else data)
    return made


def _members(archive: bytes) -> list[tuple[str, bytes]]:
    assert archive[: len(MAGIC)] == MAGIC
    found, at = [], len(MAGIC)
    while at < len(archive):
        header = archive[at : at + HEADER]
        size = int(header[48:58])
        found.append((header[:16].decode().strip().rstrip("/"), archive[at + HEADER : at + HEADER + size]))
        at += HEADER + size + size % 2
    return found


def _append(file: io.BufferedWriter, name: str, data: bytes) -> None:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n"
    file.write(header.encode() + data + b"\n" * (len(data) % 2))
