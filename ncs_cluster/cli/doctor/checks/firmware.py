"""The firmware that sticks boot with: whether it is there, with the known checksum."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ncs_cluster.backends.base import FIRMWARE
from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.subject import as_user, state_option
from ncs_cluster.cli.doctor.usb import seen
from ncs_cluster.errors import ConfigError
from ncs_cluster.provision import firmware, places
from ncs_cluster.xlink.firmware import judge as judge_bytes
from ncs_cluster.xlink.firmware import patch


class Facts(NamedTuple):
    used: bool
    """The settings have a backend that may boot sticks with it."""
    needed: bool
    """A backend that boots sticks with it is asked for."""
    path: str
    problem: str | None
    """What is wrong with the file; None: nothing."""
    readable: bool
    """This user may read the file."""
    named: bool
    """The settings name another file than the installed one."""
    install: str
    """The command that installs it."""


def probe(case: Case) -> Facts:
    state, option = case.settings.state_dir, case.option(FIRMWARE, "firmware")
    named = str(option) if option else None
    path = Path(named) if named else places.firmware(Path(state))
    needed = case.asks_for(FIRMWARE)
    sticks = bool(seen(case.machine, case.exclude).devices)
    command = f"{as_user(case.subject)}ncsctl firmware install{state_option(state, case.subject)}"
    problem, readable = _problem(path, named is not None)
    return Facts(
        needed or (sticks and "auto" in case.read.wanted), needed, str(path), problem, readable, named is not None, command
    )


def judge(facts: Facts) -> list[Finding]:
    if not facts.used:
        return [skip("no stick is booted by backend xlink")]
    if not facts.readable:
        return [skip(f"{facts.path}: not judged, this user may not look at it", "sudo ncsctl doctor")]
    if facts.problem is None:
        what = "as the settings name it" if facts.named else f"of OpenVINO {firmware.VERSION}, intact"
        return [passed(f"{facts.path}: {what}")]
    return [(fail if facts.needed else warn)(facts.problem, facts.install)]


def _problem(path: Path, named: bool) -> tuple[str | None, bool]:
    try:
        data = path.read_bytes() if path.stat().st_size <= firmware.LARGEST_WHEEL else b""
    except FileNotFoundError:
        return f"there is no firmware {path}", True
    except PermissionError:
        return None, False
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}", True
    try:
        (patch if named else judge_bytes)(data)
    except ConfigError as error:
        return f"{path} {str(error).partition(';')[0]}", True
    return None, True
