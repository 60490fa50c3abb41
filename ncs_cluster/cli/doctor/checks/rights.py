"""Whether the daemon's user may open each stick, and the udev rule that gives the right."""

from __future__ import annotations

import re
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.machine import Access, Machine, Who
from ncs_cluster.cli.doctor.usb import devices, seen

RULE_FOLDERS = (
    "/etc/udev/rules.d",
    "/run/udev/rules.d",
    "/usr/local/lib/udev/rules.d",
    "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
)
GROUP = "ncs"
RULE = f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", ATTR{{idVendor}}=="03e7", GROUP="{GROUP}", MODE="0660"'
RELOAD = "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=usb"
INSTALL = f"sudo groupadd -f --system {GROUP} && echo '{RULE}' | sudo tee /etc/udev/rules.d/99-ncs-cluster.rules && {RELOAD}"


class Facts(NamedTuple):
    used: bool
    needed: bool
    """Without a stick the daemon has nothing to do."""
    who: Who
    nodes: dict[str, Access | None]
    """Port of each stick -> its device node; None where the node is missing."""
    group_names: dict[int, str]
    rule: str | None
    """The file of udev's rules that names sticks."""
    rule_group: str | None
    """The group it gives them to, where that exists."""
    member: bool
    """The daemon's user is in that group."""


def probe(case: Case) -> Facts:
    machine, who = case.machine, case.subject.who
    nodes = {each.port: each.node for each in devices(machine)}
    found = {port: machine.access(nodes[port], who) for port in seen(machine, case.exclude).devices if port in nodes}
    rule, group = _rule(machine)
    gid = machine.group(group) if group is not None else None
    names = {each.gid: machine.group_name(each.gid) for each in found.values() if each is not None}
    return Facts(
        case.sticks_are_used,
        case.sticks_are_needed,
        who,
        found,
        names,
        rule,
        group if gid is not None else None,
        who.uid == 0 or gid in who.groups,
    )


def judge(facts: Facts) -> list[Finding]:
    if not facts.used:
        return [skip("the settings use no stick of the bus")]
    found = [_node(facts, port, node) for port, node in facts.nodes.items()]
    if found:
        return found
    if not facts.needed:
        return [skip("no stick is on the bus")]
    if facts.who.uid == 0:
        return [skip("no stick is on the bus, and root needs no udev rule")]
    if facts.rule is None:
        return [warn(f"no udev rule gives sticks to user {facts.who.name}", INSTALL)]
    if not facts.member:
        return [warn(f"{facts.rule} gives sticks to group {facts.rule_group}: user {facts.who.name} is not in it", _join(facts))]
    return [passed(f"{facts.rule} gives sticks to user {facts.who.name}")]


def _node(facts: Facts, port: str, node: Access | None) -> Finding:
    if node is None:
        return fail(f"port {port}: its device node below /dev/bus/usb is missing", "sudo udevadm trigger --subsystem-match=usb")
    if node.allows(facts.who):
        return passed(f"port {port}: user {facts.who.name} may use {node.path}")
    group = facts.group_names.get(node.gid, str(node.gid))
    text = f"port {port}: user {facts.who.name} may not use {node.path} (group {group}, mode {node.mode:04o})"
    if facts.rule is None:
        return fail(text, INSTALL)
    if group == facts.rule_group and not facts.member:
        return fail(text, _join(facts))
    return fail(f"{text}, though {facts.rule} has a rule", RELOAD)


def _join(facts: Facts) -> str:
    return f"sudo usermod -aG {facts.rule_group or GROUP} {facts.who.name}; then log in again, or restart the service"


def _rule(machine: Machine) -> tuple[str | None, str | None]:
    for folder in RULE_FOLDERS:
        for name in machine.names(folder):
            text = (machine.text(f"{folder}/{name}") or "") if name.endswith(".rules") else ""
            for line in text.splitlines():
                if not line.lstrip().startswith("#") and re.search(r'idVendor\}=="03e7"', line):
                    group = re.search(r'GROUP:?="([^"]+)"', line)
                    return f"{folder}/{name}", group and group[1]
    return None, None
