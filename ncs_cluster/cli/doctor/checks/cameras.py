"""Cameras of the settings: whether the device is there and the daemon's user may use it, or the network camera can be reached."""

from __future__ import annotations

import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.cli.doctor.holders import holders
from ncs_cluster.cli.doctor.machine import Access, Who
from ncs_cluster.cli.doctor.usb import USB3_MBPS, devices
from ncs_cluster.sources.picamera import PROGRAMS
from ncs_cluster.sources.rtsp import PORTS
from ncs_cluster.specs import CameraSpec

MAKER, NAME = "8086", "Intel(R) RealSense"
REACH_S = 2.0
LIST = "ls -l /dev/video*; v4l2-ctl --list-devices"


class Node(NamedTuple):
    camera: str
    path: str
    access: Access | None
    """None where the node does not exist."""
    group: str
    there: list[str]
    """Nodes that the machine has."""
    held_by: str | None
    """Another program than the daemon."""


class RealSense(NamedTuple):
    camera: str
    port: str | None
    """None: no RealSense camera is on the bus."""
    mbps: float | None
    access: Access | None
    group: str


class Network(NamedTuple):
    camera: str
    shown: str
    """The address without its password."""
    problem: str | None


class Program(NamedTuple):
    """Of a Pi's own camera."""

    camera: str
    path: str | None
    """None: it is not installed."""


class Facts(NamedTuple):
    who: Who
    nodes: list[Node]
    real_sense: list[RealSense]
    network: list[Network]
    programs: list[Program]
    others: list[str]
    """Cameras that need no device: files, the synthetic scene."""
    said: dict[str, tuple[str, str]]
    """Camera -> state and detail, by the running daemon."""


def probe(case: Case) -> Facts:
    by_kind: dict[str, list[CameraSpec]] = {}
    for camera in case.settings.cameras:
        by_kind.setdefault(_kind(camera), []).append(camera)
    running = case.status.cameras if case.status is not None else []
    with ThreadPoolExecutor(8) as pool:
        network = list(pool.map(_reach, by_kind.get("rtsp", [])))
    return Facts(
        case.subject.who,
        [_node(case, camera) for camera in by_kind.get("v4l2", [])],
        [_real_sense(case, camera) for camera in by_kind.get("realsense", [])],
        network,
        [Program(str(camera.name), _program(camera)) for camera in by_kind.get("picamera", [])],
        [str(camera.name) for camera in by_kind.get("", [])],
        {each.name: (each.state, each.detail or "") for each in running if each.state in ("no-signal", "backoff")},
    )


def judge(facts: Facts) -> list[Finding]:
    found = [_judge_node(facts.who, each) for each in facts.nodes]
    found += [_judge_real_sense(facts.who, each) for each in facts.real_sense]
    for camera, shown, problem in facts.network:
        if problem is None:
            found.append(passed(f"{camera}: {shown} answers"))
        else:
            found.append(fail(f"{camera}: {shown} cannot be reached: {problem}", f"ping -c 3 {urlsplit(shown).hostname or 'HOST'}"))
    for camera, path in facts.programs:
        if path is None:
            found.append(fail(f"{camera}: rpicam-vid is not installed", "sudo apt install rpicam-apps-lite"))
        else:
            found.append(passed(f"{camera}: {path} is there; rpicam-hello --list-cameras lists what it sees"))
    for camera, (state, detail) in facts.said.items():
        found.append(warn(f"{camera} is {state}: {detail}", "ncsctl events"))
    if not found and facts.others:
        return [passed(f"{', '.join(facts.others)}: no device is needed")]
    return found or [skip("the settings name no camera")]


def _kind(camera: CameraSpec) -> str:
    """Empty where no device is needed."""
    if camera.source == "realsense" and camera.options.get("recording") is not None:
        return ""
    return camera.source if camera.source in ("v4l2", "realsense", "rtsp", "picamera") else ""


def _program(camera: CameraSpec) -> str | None:
    named = [str(camera.options["program"])] if camera.options.get("program") else PROGRAMS
    return next(filter(None, map(shutil.which, named)), None)


def _node(case: Case, camera: CameraSpec) -> Node:
    machine, device = case.machine, str(camera.options.get("device", "0"))
    path = f"/dev/video{device}" if device.isdigit() else device
    access = machine.access(path, case.subject.who)
    there = [f"/dev/{name}" for name in machine.names("/dev") if name.startswith("video")]
    held = holders(machine, os.path.realpath(path), case.subject.pid).get(os.path.realpath(path)) if access else None
    return Node(str(camera.name), path, access, machine.group_name(access.gid) if access else "", there, held)


def _judge_node(who: Who, node: Node) -> Finding:
    if node.access is None:
        there = f"there are {', '.join(node.there)}" if node.there else "this machine has no /dev/video at all"
        return fail(f"{node.camera}: there is no {node.path}: {there}", LIST if node.there else "lsusb; plug the camera in again")
    if not node.access.allows(who):
        text = f"{node.camera}: user {who.name} may not use {node.path} (group {node.group}, mode {node.access.mode:04o})"
        return fail(text, f"sudo usermod -aG {node.group} {who.name}; then log in again, or restart the service")
    if node.held_by is not None:
        return warn(f"{node.camera}: {node.held_by} uses {node.path} too", f"fuser -v {node.path}")
    return passed(f"{node.camera}: user {who.name} may use {node.path}")


def _real_sense(case: Case, camera: CameraSpec) -> RealSense:
    there = [each for each in devices(case.machine) if each.vendor == MAKER and each.name.startswith(NAME)]
    if not there:
        return RealSense(str(camera.name), None, None, None, "")
    first = there[0]
    access = case.machine.access(first.node, case.subject.who)
    return RealSense(str(camera.name), first.port, first.mbps, access, case.machine.group_name(access.gid) if access else "")


def _judge_real_sense(who: Who, camera: RealSense) -> Finding:
    if camera.port is None:
        return fail(
            f"{camera.camera}: no RealSense camera is on the bus", f"plug it in, into a USB 3 port; then: lsusb -d {MAKER}:"
        )
    if camera.access is not None and not camera.access.allows(who):
        text = f"{camera.camera}: user {who.name} may not use the RealSense camera at port {camera.port}"
        rule = f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{MAKER}", GROUP="video", MODE="0660"'
        line = f"echo '{rule}' | sudo tee /etc/udev/rules.d/99-realsense.rules"
        return fail(text, f"{line} && sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=usb")
    if camera.mbps is not None and camera.mbps < USB3_MBPS:
        text = f"{camera.camera}: the RealSense camera at port {camera.port} runs at USB 2: smaller pictures, fewer of them"
        return warn(text, "plug it into a USB 3 port (blue), with a USB 3 cable; then: lsusb -t")
    return passed(f"{camera.camera}: user {who.name} may use the RealSense camera at port {camera.port}")


def _reach(camera: CameraSpec) -> Network:
    address = urlsplit(str(camera.options["url"]))
    problem = None
    try:
        port = address.port or PORTS.get(address.scheme, 554)
        socket.create_connection((address.hostname or "", port), REACH_S).close()
    except TimeoutError:
        problem = f"no answer within {REACH_S:.0f} s"
    except (OSError, ValueError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    return Network(str(camera.name), camera.shown, problem)
