"""`ncsctl stick park|work|restart|identify|forget STICK`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ncs_cluster.cli import options, stick_place
from ncs_cluster.cli.text import printable
from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError, did_you_mean

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
SENTENCES = {
    "park": "take a stick out of rotation, until ncsctl stick work or a restart of the daemon",
    "work": "take a parked stick back into rotation",
    "restart": "stop a stick's worker once its frames are answered, and start it again",
    "identify": "where a stick is plugged in, and how to tell it from the others",
    "forget": "remove a stick that is unplugged for good from status, page and MQTT",
}
EARLIER = {"rest": "park"}
"""Spellings of earlier versions, which no help text shows: `ncsctl stick rest`, and `ncsctl forget` besides."""
SYSFS = Path("/sys")


class NoStick(NcsClusterError):
    """There is no stick of this name; the message is one line."""


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    stick = command("stick", lambda _: 2, "take one stick out of rotation, restart it, find it, forget it")
    verbs: Any = stick.add_subparsers(metavar="WHAT", required=True)
    for verb, sentence in SENTENCES.items():
        _add_options(verb, verbs.add_parser(verb, help=sentence, **_about(sentence)))
    for earlier, verb in EARLIER.items():
        # without `help` a command is listed nowhere
        _add_options(verb, verbs.add_parser(earlier, **_about(SENTENCES[verb])))


def add_earlier(commands: Any) -> None:
    """Add `ncsctl forget`, an earlier spelling, to the commands of ncsctl."""
    _add_options("forget", commands.add_parser("forget", **_about(SENTENCES["forget"])))


def _about(sentence: str) -> dict[str, Any]:
    return {"parents": [options.runtime_dir()], "description": f"{sentence[0].upper()}{sentence[1:]}."}


def _add_options(verb: str, each: argparse.ArgumentParser) -> None:
    each.set_defaults(run=_identify if verb == "identify" else partial(_change, verb))
    each.add_argument("stick", metavar="STICK", help="its id, or the name of its port")
    if verb == "park":
        each.add_argument("--reason", metavar="TEXT", help="why, for the status")
    if verb == "forget":
        each.add_argument("--calibration", action="store_true", help="forget what ncsctl calibrate has measured of it too")


def _change(verb: str, given: argparse.Namespace) -> int:
    why, calibration = getattr(given, "reason", None), getattr(given, "calibration", False)
    with Client(getattr(given, "runtime_dir", None)) as daemon:
        print(printable(daemon.change_stick(given.stick, verb, why=why, calibration=calibration)))
    return 0


def _identify(given: argparse.Namespace) -> int:
    with Client(getattr(given, "runtime_dir", None)) as daemon:
        sticks = daemon.status().sticks
    stick = next((each for each in sticks if given.stick in (each.id, each.name)), None)
    if stick is None:
        known = [name for each in sticks for name in (each.id, each.name) if name]
        near = did_you_mean(given.stick[:40], known) or "; ncsctl status lists them"
        raise NoStick(f"there is no stick {given.stick[:40]!a}{near}")
    for line in stick_place.lines(stick, sticks, SYSFS):
        print(printable(line))
    return 0
