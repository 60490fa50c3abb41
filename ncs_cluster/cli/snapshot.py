"""`ncsctl snapshot CAMERA FILE`: the newest drawn picture of a camera, as the page shows it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.cli import fresh_file
from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
JPEG, PNG = (".jpg", ".jpeg"), ".png"
ANSWER_S = 10.0
"""A camera without viewers starts to draw at the request, and with a slow graph a picture takes seconds."""
STDOUT = "-"


class NoSnapshot(NcsClusterError):
    """There is no picture, or no place for it; the message is one line."""


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    made = command("snapshot", _snapshot, "the newest drawn picture of a camera, as JPEG or PNG")
    made.add_argument("camera", metavar="CAMERA", help="its name, as in ncsctl status")
    made.add_argument("file", metavar="FILE", help="FILE.jpg or FILE.png; - writes JPEG to standard output")
    made.add_argument("--force", action="store_true", help="replace a file that is there")


def _snapshot(given: argparse.Namespace) -> int:
    from ncs_cluster.processes.observer import page_picture

    file = None if given.file == STDOUT else Path(given.file)
    if file is None and sys.stdout.isatty():
        raise NoSnapshot("a terminal shows no picture: name a file, or pass standard output on with a pipe")
    if file is not None:
        if file.suffix.lower() not in (*JPEG, PNG):
            raise NoSnapshot(f"{str(file)!a} must end in .jpg, .jpeg or .png, or be - for standard output")
        fresh_file.check(file, force=given.force)
    with Client(getattr(given, "runtime_dir", None)) as daemon:
        cameras = [camera.name for camera in daemon.status().cameras]
        if given.camera not in cameras:
            there = f"there are {', '.join(cameras)}" if cameras else "the daemon has none"
            raise NoSnapshot(f"there is no camera {given.camera[:40]!a}: {there}")
        url = daemon.url()
    jpeg = page_picture(url, given.camera, ANSWER_S)
    if file is None:
        sys.stdout.buffer.write(jpeg)
        sys.stdout.buffer.flush()
    else:
        fresh_file.write(file, _png(jpeg) if file.suffix.lower() == PNG else jpeg, force=given.force)
    return 0


def _png(jpeg: bytes) -> bytes:
    """Raises NoSnapshot where the bytes are no picture."""
    from ncs_cluster.render.png import png_of

    try:
        return png_of(jpeg)
    except ValueError as error:
        raise NoSnapshot("what the page sent is no picture") from error
