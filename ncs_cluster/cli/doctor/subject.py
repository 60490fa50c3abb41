"""The daemon that doctor judges: the running daemon, else the service of this machine, else a daemon that this user starts."""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from ncs_cluster.cli.doctor.case import UNIT, Subject
from ncs_cluster.cli.doctor.machine import Machine, Who
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.provision import places

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
PROGRAMS = ("ncs-clusterd", "ncs_cluster.cli.daemon")
"""The word of a daemon's command line behind which its flags begin: the end of a path, or a module."""
FOLDERS = {"RuntimeDirectory": ("RUNTIME_DIRECTORY", "/run"), "StateDirectory": ("STATE_DIRECTORY", "/var/lib")}


class NoSuchUser(NcsClusterError):
    """The unit names a user that the machine does not have."""


def find(machine: Machine, pid: int | None, config: str | None) -> Subject:
    """`pid`: of the daemon that answers. `config`: the file of --config, which goes before the flags of any daemon."""
    found = _running(machine, pid) if pid is not None else None
    found = found or _service(machine) or _own(machine)
    if config is None:
        return found
    return Subject(
        found.what,
        found.user,
        found.uid,
        found.groups,
        ["--config", config],
        found.environ,
        os.getcwd(),
        found.pid,
        found.unit,
        found.private_tmp,
    )


def unit_file(machine: Machine) -> str | None:
    """The file of the service's unit."""
    places_ = (f"{folder}/{UNIT}.service" for folder in UNIT_FOLDERS)
    return next((each for each in places_ if machine.text(each) is not None), None)


def _running(machine: Machine, pid: int) -> Subject | None:
    """None where this user may not look at it."""
    status = dict(re.findall(r"^(\w+):[ \t]*(.*)$", machine.text(f"/proc/{pid}/status") or "", re.M))
    words = _words(machine.text(f"/proc/{pid}/cmdline"))
    begins = next((at for at, word in enumerate(words) if Path(word).name in PROGRAMS), None)
    uids, gids, more = ([int(word) for word in status.get(key, "").split() if word.isdigit()] for key in ("Uid", "Gid", "Groups"))
    if begins is None or not uids or not gids:
        return None
    uid, groups = uids[0], {gids[0], *more}
    try:
        folder = os.readlink(machine.at(f"/proc/{pid}/cwd"))
    except OSError:
        folder = "/"
    unit = _service(machine) if f"/{UNIT}.service" in (machine.text(f"/proc/{pid}/cgroup") or "") else None
    environ = dict(word.split("=", 1) for word in _words(machine.text(f"/proc/{pid}/environ")) if "=" in word)
    if not environ:
        # this user may not read it: what systemd or a login sets is known all the same
        environ = unit.environ if unit is not None else {"HOME": machine.home(uid)} if uid != os.geteuid() else dict(os.environ)
    return Subject(
        f"the running daemon, pid {pid}",
        machine.user_name(uid),
        uid,
        sorted(groups),
        words[begins + 1 :],
        environ,
        folder,
        pid,
        unit_file(machine),
        unit is not None and unit.private_tmp,
    )


def _service(machine: Machine) -> Subject | None:
    unit = unit_file(machine)
    if unit is None:
        return None
    keys = dict[str, list[str]]()
    for name, value in _keys(machine, unit):
        keys.setdefault(name, []).append(value)
    last = {name: values[-1] for name, values in keys.items()}
    user = last.get("User", "root")
    who = machine.user(user)
    if who is None:
        raise NoSuchUser(f"{unit} runs as user {user}, which this machine does not have")
    groups = [*who.groups]
    for names in (last.get("Group", ""), *keys.get("SupplementaryGroups", [])):
        groups += [gid for name in names.split() if (gid := machine.group(name)) is not None]
    words = shlex.split(last.get("ExecStart", "").lstrip("-@:+!"))
    argv = words[1:] if words and Path(words[0]).name in PROGRAMS else []
    if "--config" in argv[:-1]:
        at = argv.index("--config") + 1
        argv[at] = str(machine.at(argv[at]))
    environ = dict(word.split("=", 1) for text in keys.get("Environment", []) for word in shlex.split(text) if "=" in word)
    for key, (variable, below) in FOLDERS.items():
        if key in last:
            environ[variable] = str(machine.at(f"{below}/{last[key].split()[0]}"))
    return Subject(
        f"the service {UNIT}", user, who.uid, sorted(set(groups)), argv, environ, "/", None, unit, last.get("PrivateTmp") == "yes"
    )


def _own(machine: Machine) -> Subject:
    uid = os.geteuid()
    who = Who(getpass.getuser() if machine.real else machine.user_name(uid), uid, frozenset({os.getegid(), *os.getgroups()}))
    return Subject("a daemon of this user", who.name, who.uid, sorted(who.groups), [], dict(os.environ), os.getcwd())


def _keys(machine: Machine, unit: str) -> Iterator[tuple[str, str]]:
    """Keys of the unit and its drop-ins, in the order of systemd. An empty value, which resets its key, is left out: the value that
    counts is the last one."""
    name = Path(unit).name
    files = [
        unit,
        *(f"{folder}/{name}.d/{each}" for folder in reversed(UNIT_FOLDERS) for each in machine.names(f"{folder}/{name}.d")),
    ]
    for file in files:
        text = (machine.text(file) or "").replace("\\\n", " ")
        for line in text.splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith(("#", ";")) and value.strip():
                yield key.strip(), value.strip()


def _words(text: str | None) -> list[str]:
    return [] if not text else text.rstrip("\0").split("\0")


def state_option(state: str, subject: Subject) -> str:
    """The flag that names the state directory to a command that is run as the subject's user."""
    return places.option(Path(state)) if subject.unit is None else f" --state-dir {shlex.quote(state)}"


def as_user(subject: Subject) -> str:
    """The prefix of a command that the subject's user must run."""
    return "" if subject.uid == os.geteuid() else f"sudo -u {subject.user} "
