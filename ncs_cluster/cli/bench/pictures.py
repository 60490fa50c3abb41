"""Which pictures are worked on. Each is decoded once before anything is measured, so no mode pays for a cold disk alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs import listing
from ncs_cluster.jobs.ledger import Item, item_of
from ncs_cluster.messages.bench import BenchItem
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._picture import FOREIGN, PICTURES, Unreadable, scaled
from ncs_cluster.types import Size


def listed(sources: Sequence[str], most: int) -> list[BenchItem]:
    """The first `most` pictures, named as records of a job name them. Raises ConfigError where the sources hold no picture."""
    named = listing.named(sources, sys.stdin.buffer, PICTURES + FOREIGN)
    items = [item_of(number, named[at].root, name) for number, (at, name) in enumerate(islice(listing.Items(named), most))]
    if not items:
        raise ConfigError(f"{', '.join(sources)}: no picture is there; name a folder, files, or a pattern in quotes")
    return [_of(item) for item in items]


def _of(item: Item) -> BenchItem:
    try:
        item.path.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{item.name}: the name is not UTF-8; rename the file") from error
    return BenchItem(item.name, item.path, item.home)


def check(items: Sequence[BenchItem], most: Size) -> None:
    """Decode every picture once. Raises ConfigError for those that cannot be read: modes could not be compared."""
    need_opencv()
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        try:
            reasons = [reason for reason in threads.map(lambda item: _unreadable(item, most), items) if reason is not None]
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    if reasons:
        others = f", and {len(reasons) - 1} more cannot be read" if len(reasons) > 1 else ""
        raise ConfigError(f"{reasons[0]}{others}; leave {'them' if others else 'it'} out")


def _unreadable(item: BenchItem, most: Size) -> str | None:
    try:
        scaled(item.path, most, item.home)
    except Unreadable as error:
        return f"{item.name}: {error}"
    return None
