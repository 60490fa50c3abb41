"""Which items of a job are films. Runs on CPython 3.9."""

from __future__ import annotations

import os

from ncs_cluster.jobs.ledger import Item
from ncs_cluster.sources._header import MARKS, header
from ncs_cluster.sources._picture import FOREIGN, PICTURES, VIDEOS

STILLS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
"""Brands of ISO base media files that are pictures."""
ENDINGS = PICTURES + FOREIGN + VIDEOS
"""Files that are taken from folders."""


def is_film(item: Item) -> bool:
    """By its name; a file with another ending by its first bytes."""
    name = item.path.lower()
    if name.endswith(PICTURES + FOREIGN):
        return False
    if name.endswith(VIDEOS):
        return True
    try:
        with open(os.open(item.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            begins = file.read(64)
    except (OSError, ValueError):
        # its reason is that of a picture
        return False
    if begins.startswith(b"RIFF"):
        return begins[8:12] != b"WEBP"
    if begins[4:8] == b"ftyp":
        return begins[8:12] not in STILLS
    return not begins.startswith(MARKS) and header(begins) is None
