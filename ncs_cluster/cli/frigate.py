"""`ncsctl frigate`: Frigate's configuration for the sticks and the graph of the running daemon."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError, did_you_mean
from ncs_cluster.status import Status

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
LOCAL = "tcp://127.0.0.1:"
FRIGATE_WAITS_MS = 200
"""Without a `request_timeout_ms`."""
MARGIN_MS = 20
"""How much earlier the daemon answers."""
IN_TIME = 0.8
"""Part of the deadline that an answer may take."""
WITHOUT = "; start it with --frigate tcp://127.0.0.1:5555 (docs/integrations.md)"


class NotServed(NcsClusterError):
    """There is nothing that Frigate could use; the message is one line."""


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    made = command("frigate", _print, "the detectors and the model for Frigate's configuration, as YAML")
    made.add_argument("--graph", metavar="NAME", help="the graph that Frigate uses; without it the daemon's first one")
    made.add_argument("--sticks", metavar="N", type=int, help="sticks at work; without it as many as are now")


def _print(given: argparse.Namespace) -> int:
    with Client(getattr(given, "runtime_dir", None)) as daemon:
        status = daemon.status()
    print(configuration(status, given.graph, given.sticks), end="")
    return 0


def configuration(status: Status, graph: str | None, sticks: int | None) -> str:
    """YAML of Frigate's keys `detectors` and `model`. Raises NotServed."""
    served = next((intake for intake in status.intakes if intake.name == "frigate"), None)
    if served is None or served.address is None:
        raise NotServed("the daemon does not serve Frigate" + (WITHOUT if served is None else " yet; ask again in a moment"))
    if not status.graphs:
        raise NotServed("the daemon has no graph; start it with --graph")
    name = graph or status.graphs[0]
    if name not in status.graphs:
        raise NotServed(f"the daemon has no graph {name}; it has {', '.join(status.graphs)}{did_you_mean(name, status.graphs)}")
    if name not in status.inputs:
        raise NotServed(f"no stick has opened {name} yet, so the size of its input is not known; ask again in a moment")
    at_work = sticks if sticks is not None else len(status.clusters.active) or len(status.sticks) or 1
    if not 1 <= at_work <= 256:
        raise NotServed(f"--sticks must be 1 to 256, not {at_work}")
    width, height = status.inputs[name]
    deadline_ms = served.deadline_ms or FRIGATE_WAITS_MS - MARGIN_MS
    entries = at_work + _one_more(status, at_work, deadline_ms)
    lines = ["# An entry waits for each of its answers: one for each stick at work"]
    lines[0] += ", and one whose frame is on its way." if entries > at_work else "."
    if served.address.startswith(LOCAL):
        lines.append(
            f"# Frigate in Docker reaches this machine at tcp://host.docker.internal:{served.address.removeprefix(LOCAL)},"
        )
        lines.append("# where the daemon is served at the address of Docker's bridge: docs/integrations.md")
    lines.append("detectors:")
    for number in range(1, entries + 1):
        lines += [f"  ncs{number}:", "    type: zmq", f"    endpoint: {_text(_reached(served.address))}"]
        if deadline_ms + MARGIN_MS > FRIGATE_WAITS_MS:
            lines.append(f"    request_timeout_ms: {deadline_ms + MARGIN_MS}")
    lines += ["model:", "  # no file: its last part names the graph", f"  path: {_text(f'ncs/{name}')}"]
    lines += [f"  width: {width}", f"  height: {height}"]
    lines += ["  input_tensor: nhwc", f"  input_pixel_format: {(served.colours or 'RGB').lower()}", "  input_dtype: int"]
    if served.own_labels:
        lines += ["  # the file that [frigate] labelmap names, where Frigate finds it", "  labelmap_path: /config/labelmap.txt"]
    return "\n".join(lines) + "\n"


def _one_more(status: Status, at_work: int, deadline_ms: int) -> bool:
    """Whether the sticks, as fast as they are, answer in time when they have one frame more than they work on."""
    known = [stick.latency_ms.p50 for stick in status.sticks if stick.latency_ms.p50 is not None]
    return not known or max(known) * (at_work + 1) / at_work <= IN_TIME * deadline_ms


def _reached(address: str) -> str:
    """An address to connect to, of one to listen at."""
    for every in ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"):
        if address.startswith(every):
            return f"{LOCAL}{address.removeprefix(every)}"
    return address


def _text(text: str) -> str:
    """A text in YAML, of which JSON is a part."""
    return json.dumps(text)
