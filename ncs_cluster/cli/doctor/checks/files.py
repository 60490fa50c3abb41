"""Files that the settings name: whether the daemon's user may read them.

Folders of people, such as /home/pi, are closed to a service.
"""

from __future__ import annotations

import os
import shlex
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip
from ncs_cluster.cli.doctor.machine import Access, Machine, Who


class Named(NamedTuple):
    what: str
    """ "the settings", "graph demo"."""
    path: str
    blocked: Access | None
    """The folder that the user may not enter, or the file that it may not read."""


class Facts(NamedTuple):
    who: Who
    files: list[Named]


def probe(case: Case) -> Facts:
    # settings name their files as this process sees them
    here, who = Machine(), case.subject.who
    return Facts(who, [Named(what, path, here.blocked(path, who)) for what, path in _named(case)])


def judge(facts: Facts) -> list[Finding]:
    found = []
    for what, path, blocked in facts.files:
        if blocked is None:
            continue
        if blocked.path == path:
            remedy = f"sudo chgrp {facts.who.name} {shlex.quote(path)} && sudo chmod g+r {shlex.quote(path)}"
            found.append(fail(f"{what}: user {facts.who.name} may not read {path}", remedy))
        else:
            text = f"{what}: user {facts.who.name} may not enter {blocked.path}, on the way to {path}"
            found.append(
                fail(text, f"sudo chmod o+x {shlex.quote(blocked.path)}; or move the file, to /opt or /var/lib/ncs-cluster")
            )
    if not facts.files:
        return [skip("the settings name no file")]
    return found or [passed(f"user {facts.who.name} may read what the settings name, {len(facts.files)} files")]


def _named(case: Case) -> list[tuple[str, str]]:
    """What each file is, and its absolute path."""
    settings, page = case.settings, case.settings.gateway
    found = [("the settings", os.path.abspath(case.read.file))] if case.read.file is not None else []
    if page is not None:
        found += [("the token", each) for each in (page.token_file, page.viewer_token_file) if each is not None]
    for graph in settings.graphs:
        found += [(f"graph {graph.name}", each) for each in (graph.model, graph.blob) if each is not None]
    for camera in settings.cameras:
        found += [(str(camera.name), value) for value in camera.options.values() if _is_file(value)]
    return list(dict.fromkeys(found))


def _is_file(value: object) -> bool:
    """An option that is the path of a film or a picture, not of a device."""
    return isinstance(value, str) and value.startswith("/") and not value.startswith("/dev/") and os.path.isfile(value)
