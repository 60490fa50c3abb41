"""`ncsctl usb-capture` and `ncsctl usb-compare`: record and compare the USB traffic of a stick.

The recorder (capture.c) is a libusb that forwards every call to the machine's libusb; it needs no root and records no other
device. docs/ncs2.md says what the transcripts are for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.backends import BACKENDS

TROUBLE = 2
Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """The two commands, for ncsctl's parser."""
    capture = command("usb-capture", _capture, "record the USB traffic of a stick, of a command or step by step")
    capture.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the transcript; FILE.gz is compressed")
    capture.add_argument("--keep", type=_size, default=64, metavar="MIB", help="payloads kept while recording (default 64)")
    capture.add_argument("--libusb", metavar="FILE", help="the libusb to record (default: the one the loader finds)")
    capture.add_argument("command", nargs="*", metavar="COMMAND", help="a command, after --; default: the guided recording")
    guided = capture.add_argument_group("the guided recording of one stick")
    guided.add_argument("--short", action="store_true", help="half a minute instead of a quarter of an hour")
    drivers = [name for name, plugin in BACKENDS.builtin.items() if plugin.matched is not None]
    guided.add_argument("--with", dest="backend", choices=drivers, default=drivers[0], help=f"the backend (default {drivers[0]})")
    guided.add_argument("--python", default=sys.executable, metavar="FILE", help="an interpreter with the vendor's plugin")
    guided.add_argument("--stick", metavar="PORT", help="the stick's USB port, such as 1-1.2, where there are several")
    guided.add_argument("--graph", default="demo", metavar="NAME|DIR", help="the graph to run (default demo)")
    guided.add_argument("--blob", type=Path, metavar="FILE", help="the compiled graph, where it is not beside its model")
    guided.add_argument("--firmware", type=Path, metavar="FILE", help="usb-ma2x8x.mvcmd (default: as installed by ncsctl)")
    compare = command("usb-compare", _compare, "differences of two transcripts, without those that may differ")
    compare.epilog = "exit codes: 0 equal, 1 different, 2 a file cannot be read"
    compare.add_argument("first", type=Path, metavar="A")
    compare.add_argument("second", type=Path, metavar="B")
    compare.add_argument("--quiet", "-q", action="store_true", help="do not list ignored differences")


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of MiB")
    return int(text)


def _capture(given: argparse.Namespace) -> int:
    """The command's exit code; 1 when no stick was opened."""
    from ncs_cluster.cli.usb import guided
    from ncs_cluster.cli.usb.recording import Recording

    if not given.command:
        return guided.record(given, guided.SHORT if given.short else guided.LONG)
    with Recording(given.output, given.libusb, given.keep << 20) as recording:
        code = recording.run(given.command)
        return code if recording.write(of=Path(given.command[0]).name) else code or 1


def _compare(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.text import printable
    from ncs_cluster.cli.usb.recording import read
    from ncs_cluster.errors import NcsClusterError
    from ncs_cluster.xlink import compare

    try:
        first, second = read(given.first), read(given.second)
    except NcsClusterError as error:
        print(f"ncsctl: {error}", file=sys.stderr)
        return TROUBLE
    report = compare.compare(first, second)
    for difference in report.differences:
        print(f"{printable(difference.lane)}:")
        for line in difference.lines:
            print(f"    {printable(line)}")
    if not report.differences:
        print("equal")
    if not given.quiet:
        print("set aside:")
        for rule, times in report.set_aside.items():
            print(f"    {rule} ({times}): {compare.RULES[rule]}")
            for cut in report.cuts if rule == "chunk sizes" else ():
                print(f"        {printable(cut)}")
    return 1 if report.differences else 0
