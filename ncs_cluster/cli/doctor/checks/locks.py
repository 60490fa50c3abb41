"""Locks and folders that an earlier or another program has left: the daemon's runtime directory and the vendor's lock."""

from __future__ import annotations

import re
import stat
from typing import NamedTuple

from ncs_cluster.backends._mvnc_lock import PATH as VENDORS
from ncs_cluster.backends.base import VENDOR_PLUGIN
from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.machine import Access, Machine, Who
from ncs_cluster.processes.runtime_dir import LOCK


class Facts(NamedTuple):
    who: Who
    folder: str
    """The runtime directory."""
    found: Access | None
    """None where it does not exist."""
    is_folder: bool
    owner: str
    holder: int | None
    """The process that has locked it."""
    daemon_answers: bool
    vendors: Access | None
    """The lock of the vendor's plugin; None: it does not exist, or the service has a /tmp of its own."""
    vendors_owner: str
    plugin_wanted: bool


def probe(case: Case) -> Facts:
    here, who = Machine(), case.subject.who
    folder = case.settings.runtime_dir
    found = here.access(folder, who) if folder else None
    vendors = None if case.subject.private_tmp else case.machine.access(VENDORS, who)
    return Facts(
        who,
        folder,
        found,
        bool(found) and here.at(folder).is_dir(),
        here.user_name(found.uid) if found else "",
        _holder(case.machine, here, f"{folder}/{LOCK}") if folder else None,
        case.status is not None or case.silence is not None,
        vendors,
        case.machine.user_name(vendors.uid) if vendors else "",
        case.asks_for(VENDOR_PLUGIN),
    )


def judge(facts: Facts) -> list[Finding]:
    found = []
    if facts.found is not None:
        if not facts.is_folder:
            found.append(fail(f"runtime directory {facts.folder} is not a folder", f"sudo rm {facts.folder}"))
        elif facts.found.uid not in (facts.who.uid, 0):
            text = f"runtime directory {facts.folder} belongs to user {facts.owner}: the daemon of {facts.who.name} refuses it"
            found.append(fail(text, f"sudo rm -r {facts.folder}"))
        elif facts.found.mode & stat.S_IWOTH:
            found.append(fail(f"every user may write into {facts.folder}: the daemon refuses it", f"sudo chmod o-w {facts.folder}"))
    if facts.holder is not None and not facts.daemon_answers:
        text = f"process {facts.holder} holds {facts.folder}/{LOCK} and answers nothing"
        found.append(fail(text, f"ps -o user,stat,args -p {facts.holder}; sudo kill {facts.holder}"))
    if facts.vendors is not None and not facts.vendors.allows(facts.who):
        text = f"{VENDORS} belongs to user {facts.vendors_owner}: the vendor's plugin of user {facts.who.name} would abort"
        found.append((fail if facts.plugin_wanted else warn)(text, f"sudo rm {VENDORS}"))
    if found or not facts.folder:
        return found or [skip("the settings name no runtime directory that can be read")]
    return [passed(f"{facts.folder} is {'in use' if facts.holder else 'free'}")]


def _holder(machine: Machine, here: Machine, path: str) -> int | None:
    """The process that has an exclusive flock on a file: proc_locks(5)."""
    try:
        inode = here.at(path).stat().st_ino
    except OSError:
        return None
    for line in (machine.text("/proc/locks") or "").splitlines():
        match = re.match(rf"\d+: FLOCK +\S+ +WRITE +(\d+) \S+:\S+:{inode} ", line)
        if match is not None:
            return int(match[1])
    return None
