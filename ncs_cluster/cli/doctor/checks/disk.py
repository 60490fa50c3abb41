"""Space, inodes and rights where the daemon writes: its state directory, its files of results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.machine import Access, Machine, Who

FULL_MB, LOW_MB = 50, 500
FEW_INODES = 0.02
"""Least fraction of a file system's inodes that should be free."""


class Place(NamedTuple):
    path: str
    """File or folder that the daemon writes."""
    there: str
    """The nearest folder of that path that exists."""
    free_mb: float
    free_inodes: float
    """Fraction of all inodes; 1 where the file system does not count them."""
    read_only: bool
    access: Access | None
    """Rights of `there`."""


class Facts(NamedTuple):
    who: Who
    places: list[Place]
    missing: dict[str, str]
    """What is written -> its folder, which does not exist."""


def probe(case: Case) -> Facts:
    files = {str(each.options["path"]) for each in case.settings.sinks if str(each.options.get("path", "")).startswith("/")}
    wanted = [case.settings.state_dir, *sorted(files)] if case.settings.state_dir else sorted(files)
    missing = {path: os.path.dirname(path) for path in files if not os.path.isdir(os.path.dirname(path))}
    return Facts(case.subject.who, [_place(path, case.subject.who) for path in wanted if path not in missing], missing)


def judge(facts: Facts) -> list[Finding]:
    found = [fail(f"{path}: there is no folder {folder}", f"sudo mkdir -p {folder}") for path, folder in facts.missing.items()]
    found += [_judge(facts.who, each) for each in facts.places]
    return found or [skip("the settings name nothing that is written")]


def _judge(who: Who, place: Place) -> Finding:
    if place.read_only:
        return fail(
            f"{place.path} is on a file system that can only be read",
            f"sudo mount -o remount,rw $(findmnt -no TARGET -T {place.there})",
        )
    if place.access is not None and not place.access.allows(who, os.W_OK | os.X_OK):
        owner = (
            f"sudo install -d -o {who.name} {place.path}" if place.there != place.path else f"sudo chown -R {who.name} {place.path}"
        )
        return fail(f"user {who.name} may not write into {place.there}", owner)
    look = f"sudo du -xh --max-depth=2 {place.there} | sort -h | tail; df -h {place.there}"
    if place.free_mb < LOW_MB:
        make = fail if place.free_mb < FULL_MB else warn
        return make(f"{place.path}: {place.free_mb:.0f} MB are free", look)
    if place.free_inodes < FEW_INODES:
        text = f"{place.path}: {100 * place.free_inodes:.1f} % of the inodes are free"
        return (fail if place.free_inodes == 0 else warn)(
            text, f"df -i {place.there}; sudo du -x --inodes {place.there} | sort -n | tail"
        )
    return passed(f"{place.path}: {_size(place.free_mb)} free, user {who.name} may write")


def _size(mb: float) -> str:
    return f"{mb / 1000:.0f} GB" if mb >= 10_000 else f"{mb:.0f} MB"


def _place(path: str, who: Who) -> Place:
    there = next(each for each in (Path(path), *Path(path).parents) if os.path.isdir(each))
    found = os.statvfs(there)
    inodes = found.f_favail / found.f_files if found.f_files else 1.0
    free_mb = found.f_bavail * found.f_frsize / 1e6
    return Place(path, str(there), free_mb, inodes, bool(found.f_flag & os.ST_RDONLY), Machine().access(str(there), who))
