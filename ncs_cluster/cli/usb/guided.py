"""The guided recording: the stick, the steps and their order, messages to the operator."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ncs_cluster import usb_ids
from ncs_cluster.backends import BACKENDS
from ncs_cluster.cli.usb import build
from ncs_cluster.cli.usb.recording import Recording
from ncs_cluster.cli.usb.steps import Order
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.specs import GraphSpec, RuntimeSpec, StickSpec
from ncs_cluster.types import StickId

MODULE = "ncs_cluster.cli.usb.steps"
AWAY_S, LOOK_S = 60.0, 0.2
"""Seconds to wait for an absent stick."""
STOPPED = 128 + signal.SIGTERM
"""Exit code of a step ended by Ctrl-C."""
STOPPED_BETWEEN = 128 + signal.SIGINT


class Step(NamedTuple):
    """`name` as in steps.STEPS; `fails` when the process is meant to be killed."""

    name: str
    minutes: float
    message: str
    blob_only: bool = False
    """Only a backend that runs a compiled graph itself can do it."""
    fails: bool = False


SHORT = [Step("session", 0.5, "boot, open, temperature, 8 pictures of noise with 4 in flight, idle, close")]
LONG = [
    *SHORT,
    Step("silence", 1.5, "no ping for a minute: when does the stick's watchdog reset it?", blob_only=True),
    Step("killed", 0.5, "the program is killed during an inference", fails=True),
    Step("session", 1.0, "the stick is opened again"),
    Step("heat", 10.5, "ten minutes of inferences: temperature and throttle level"),
    Step("unplug", 2.0, "you unplug the stick during an inference"),
    Step("session", 0.5, "a last time"),
]


def record(given: argparse.Namespace, steps: Sequence[Step], scale: float = 1.0) -> int:
    """0 when every step succeeded. The recording is written in any case. Raises NcsClusterError."""
    graph = _graph(given)
    steps = [step for step in steps if not step.blob_only or _takes_blob(given)]
    options = _options(given)
    port = _port(given.libusb, given.stick)
    stick = StickSpec(StickId(port), port, given.backend, options)
    with Recording(given.output, given.libusb, given.keep << 20) as recording:
        minutes = sum(step.minutes for step in steps)
        takes = f"about {minutes:.0f} minutes" if minutes >= 1 else "less than a minute"
        _say(f"stick at USB port {port}, {given.backend}, {takes}; Ctrl-C ends a step")
        code = 0
        try:
            for number, step in enumerate(steps, 1):
                _say(f"{number} of {len(steps)}: {step.message}")
                _await_stick(given.libusb)
                order = msgspec.json.encode(Order(step.name, stick, graph, scale))
                ended = recording.run([given.python, "-m", MODULE], RuntimeSpec(given.python), order)
                if ended == STOPPED:
                    _say("    ended early")
                    code = 1
                elif (ended != 0) != step.fails:
                    _say(f"    the step failed (exit code {ended}); the recording of it is useful")
                    code = 1
        except KeyboardInterrupt:
            # Ctrl-C between two steps
            _say("    no further steps")
            code = STOPPED_BETWEEN
        except NcsClusterError as error:
            _say(f"ncsctl: {error}")
            code = 1
        # a further Ctrl-C ends the steps; the recording is still written
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            written = recording.write(of=f"guided {given.backend}")
        finally:
            signal.signal(signal.SIGINT, before)
        if written is None:
            return code or 1
        _say(f"{written}: please send it to the project; docs/ncs2.md says how, and what is in it")
        return code


def _takes_blob(given: argparse.Namespace) -> bool:
    return BACKENDS.get(given.backend).artifact == "blob"


def _graph(given: argparse.Namespace) -> GraphSpec:
    from ncs_cluster.config import graph_folder
    from ncs_cluster.provision import blobs, places

    state = places.for_tools()
    known = {**graph_folder.named(state), **graph_folder.named()}
    folder = known.get(given.graph, Path(given.graph).resolve())
    spec = graph_folder.read(folder, folder.name, None)
    if not _takes_blob(given):
        return spec
    blob = given.blob or blobs.find(spec, state)
    if blob is None or not blob.is_file():
        named = f"{blob}: there is no such file" if blob else f"graph {spec.name} is not compiled"
        raise NcsClusterError(f"{named}: name a blob with --blob, or make it with: ncsctl graphs compile {given.graph}")
    return msgspec.structs.replace(spec, blob=str(blob.absolute()))


def _options(given: argparse.Namespace) -> dict[str, str | int]:
    if shutil.which(given.python) is None:
        raise NcsClusterError(f"--python {given.python}: is not an executable")
    if not _takes_blob(given):
        return {}
    from ncs_cluster.provision import firmware, places

    found = given.firmware or firmware.check(places.for_tools())
    if not found.is_file():
        raise NcsClusterError(f"--firmware {found}: no such file; omit it after: ncsctl firmware install")
    # as the vendor's plugin is driven: one inference of a black picture at the opening
    return {"firmware": str(found.absolute()), "warm_up": 1, "check_s": 0}


def _port(libusb: str | None, wanted: str | None) -> str:
    """Port of the only stick, or of the wanted one."""
    ports = _ports(libusb)
    if not ports:
        vendor = usb_ids.text(usb_ids.MYRIAD_X.vendor)
        raise NcsClusterError(f"no neural compute stick is plugged in (no device of USB vendor {vendor})")
    if wanted is not None and wanted not in ports:
        raise NcsClusterError(f"--stick {wanted}: no neural compute stick at this port; sticks: {', '.join(ports)}")
    if wanted is not None:
        return wanted
    if len(ports) > 1:
        raise NcsClusterError(f"{len(ports)} sticks are plugged in: leave one, or name one with --stick: {', '.join(ports)}")
    return ports[0]


def _ports(libusb: str | None) -> list[str]:
    from ncs_cluster.backends._libusb import Context, UsbError
    from ncs_cluster.backends._usb_stick import BOOTED, ROM, VENDOR

    try:
        context = Context(libusb or build.NAME)
        ports = sorted(device.port for device in context.devices(VENDOR) if device.product in (ROM, BOOTED))
        context.close()
    except (OSError, UsbError) as error:
        raise NcsClusterError(f"USB devices cannot be listed: {error}: is libusb-1.0 installed?") from error
    return ports


def _await_stick(libusb: str | None) -> None:
    """Wait for a stick that was unplugged or resets itself."""
    until_s = time.monotonic() + AWAY_S
    while not _ports(libusb) and time.monotonic() < until_s:
        time.sleep(LOOK_S)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
