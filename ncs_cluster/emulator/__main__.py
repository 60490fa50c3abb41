"""An emulated USB bus with sticks, for one command or until it is stopped:

python -m ncs_cluster.emulator --add 1-1.2 --add 1-1.3 -- ncs-clusterd --backend xlink
python -m ncs_cluster.emulator --socket /tmp/usb --do '{"do": "pull", "port": "1-1.2"}'
python -m ncs_cluster.emulator --socket /tmp/usb --sysfs /tmp/sys --add 1-1.2
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ncs_cluster.emulator import build
from ncs_cluster.emulator.control import Control
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.emulator.server import STICK, Server


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ncs_cluster.emulator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--socket", type=Path, help="the emulator's socket (NCS_EMULATOR_SOCKET); with a command a private one")
    parser.add_argument("--sysfs", type=Path, metavar="DIR", help="write a tree like /sys that follows the bus")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="a line of JSON per call and answer")
    parser.add_argument("--time-scale", type=float, default=1.0, help="seconds of the emulation in one second")
    parser.add_argument("--chip", default=STICK, help="MODULE:CLASS of the chip in each stick")
    parser.add_argument(
        "--add", action="append", default=[], metavar="PORT[,KEY=VALUE...]", help="a stick, such as 1-1.2,latency_s=0.05"
    )
    parser.add_argument("--do", metavar="JSON", help="send a command to the emulator at --socket, and print its answer")
    parser.add_argument("--until-eof", action="store_true", help="exit at the end of standard input")
    parser.add_argument("command", nargs="*", help="a command to run with these sticks plugged in")
    options = parser.parse_args(argv)
    try:
        if options.command:
            return _run(options)
        if options.socket is None:
            parser.error("--socket PATH, or a command to run")
        if options.do is not None:
            control = Control(options.socket)
            print(json.dumps(control.command(**json.loads(options.do)), indent=2))
            return 0
        with Server(options.socket, options.chip, options.time_scale, options.sysfs, options.trace) as server:
            for port, profile in map(_stick, options.add):
                server.bus.add(port, profile, server.now_s())
            server.serve(sys.stdin if options.until_eof else None)
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"emulator: {error}", file=sys.stderr)
        return 1
    return 0


def _stick(text: str) -> tuple[str, dict[str, Any]]:
    """Port and profile. Values are parsed as JSON, else taken as text. Raises ValueError."""
    port, *pairs = text.split(",")
    profile: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--add {text}: {pair!r} is not KEY=VALUE")
        try:
            profile[key] = json.loads(value)
        except ValueError:
            profile[key] = value
    return port, profile


def _run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code; Ctrl-C goes to the command."""
    with tempfile.TemporaryDirectory(prefix="ncs-emulator-") as name:
        folder = Path(name)
        library = build.compile_library(folder)
        with Emulator(
            folder / "bus",
            library,
            socket=options.socket,
            time_scale=options.time_scale,
            chip=options.chip,
            trace=options.trace is not None,
        ) as emulator:
            for port, profile in map(_stick, options.add):
                emulator.add(port, **profile)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            done = subprocess.run(options.command, env=os.environ | emulator.env, check=False, preexec_fn=_hear_interrupts)
        if options.trace is not None:
            options.trace.write_bytes(emulator.trace_file.read_bytes())
    return done.returncode


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
