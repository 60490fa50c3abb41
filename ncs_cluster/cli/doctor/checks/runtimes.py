"""Interpreters of [runtimes.NAME], and the vendor's plugin: each is started once, with a time limit."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ncs_cluster.backends._myriad_host import missing_plugin
from ncs_cluster.backends.base import VENDOR_PLUGIN
from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip

LIMIT_S = 5.0
OURS = "default"
"""The runtime that is this interpreter."""


class Tried(NamedTuple):
    name: str
    python: str
    problem: str | None
    plugin: bool
    """The vendor's plugin was loaded too."""


class Facts(NamedTuple):
    tried: list[Tried]
    unset: bool
    """Backend myriad is asked for, without an interpreter that has the plugin."""


def probe(case: Case) -> Facts:
    settings = case.settings
    with_plugin = {each.runtime for each in case.pools_with(VENDOR_PLUGIN)}

    def tried(name: str) -> Tried:
        spec = settings.runtimes[name]
        # imported here: the settings' modules are large
        from ncs_cluster.config.runtimes import cannot_serve

        environ = {**os.environ, **spec.env}
        problem = cannot_serve(spec.python, environ, limit_s=case.patience * LIMIT_S)
        if problem is None and name in with_plugin:
            problem = missing_plugin(spec.python, environ, case.patience * LIMIT_S)
        return Tried(name, spec.python, problem, name in with_plugin)

    with ThreadPoolExecutor(8) as pool:
        return Facts(list(pool.map(tried, settings.runtimes)), case.asks_for(VENDOR_PLUGIN) and OURS in with_plugin)


def judge(facts: Facts) -> list[Finding]:
    found = []
    if facts.unset:
        text = "backend myriad needs an interpreter with the vendor's plugin, and none is named"
        found.append(
            fail(text, 'name one: [runtimes.ncs2] python = "/opt/ncs2/bin/python", [myriad] runtime = "ncs2" (docs/backends.md)')
        )
    for name, python, problem, plugin in facts.tried:
        if problem is None:
            found.append(passed(f"runtime {name}: {python} {'has the plugin for sticks' if plugin else 'starts'}"))
        else:
            remedy = (
                f"{python} -m pip install openvino==2021.4.2"
                if plugin and "plugin" in problem
                else f"{python} -m pip install msgspec"
            )
            found.append(fail(f"runtime {name}: {python if python not in problem else 'it'} cannot serve: {problem}", remedy))
    return found or [skip("every process runs under this Python")]
