"""Reads the subject's settings in a process of its own: pydantic and the plugins' checks stay out of this one, and so do hangs."""

from __future__ import annotations

import os

from msgspec import structs

from ncs_cluster.cli.doctor import running
from ncs_cluster.cli.doctor.case import Read, Subject
from ncs_cluster.cli.doctor.machine import Machine
from ncs_cluster.specs import Settings

NOTHING = Settings([], [], [], {}, "", "")


def read(machine: Machine, subject: Subject, limit_s: float) -> Read:
    """Settings as far as they can be read; `refused` has the reasons for the rest."""
    try:
        return running.apart(lambda: _read(machine, subject), Read, limit_s)
    except running.Late:
        return Read(NOTHING, {"settings": f"reading them takes longer than {limit_s:.0f} s"}, late=True)
    except running.Died as how:
        return Read(NOTHING, {"settings": f"the process that reads them died ({how})"})


def _read(machine: Machine, subject: Subject) -> Read:
    from ncs_cluster.config.parts import parts

    try:
        os.chdir(subject.folder)
    except OSError:
        os.chdir("/")
    argv = list(subject.argv)
    if not machine.real and machine.at("/sys").is_dir():
        argv += ["--set", f"discovery.sysfs={machine.at('/sys')}"]
    found = parts(argv, subject.environ)
    # notices are for the log of a daemon
    return Read(structs.replace(found.settings, notices=[]), found.refused, found.wanted, found.file)
