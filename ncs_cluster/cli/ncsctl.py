"""ncsctl: asks the running daemon, over its control socket.

Exit codes: 0 healthy, 1 degraded or down (or the daemon refused), 2 wrong usage, 3 not running.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ncs_cluster
from ncs_cluster.cli import firmware, graphs, show, usb
from ncs_cluster.cli.text import Terminal
from ncs_cluster.client import Client, Refused, typed
from ncs_cluster.control_messages import PAGE_NOT_READY
from ncs_cluster.errors import EX_NOT_RUNNING, NcsClusterError, NotRunning, told
from ncs_cluster.status import Status

EVERY_S = 1.0
PAGE_S = 10.0
Answer = int


def main() -> None:
    """The command."""
    given = _parser().parse_args()
    try:
        code = given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        # the reader has seen enough; nothing may complain at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except NcsClusterError as error:
        print(f"ncsctl: {error}", file=sys.stderr)
        code = EX_NOT_RUNNING if isinstance(error, NotRunning) else 1
    except OSError as error:
        print(f"ncsctl: {told(error)}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--runtime-dir", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="folder of the daemon's control socket"
    )
    made = argparse.ArgumentParser(
        "ncsctl",
        description="Shows and steers a running ncs-clusterd.",
        epilog="exit codes: 0 healthy, 1 degraded or down, 2 wrong usage, 3 not running",
        parents=[place],
    )
    made.add_argument("--version", action="version", version=f"ncsctl {ncs_cluster.__version__}")
    commands = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Answer], sentence: str) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=sentence, description=sentence[0].upper() + sentence[1:] + ".", parents=[place])
        each.set_defaults(run=run)
        return each

    status = command("status", _status, "sticks, clusters, cameras, machine and processes")
    how = status.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="the whole status document")
    how.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    command("top", _top, "the machine and the daemon's processes, live, until Ctrl-C")
    command("switch", _switch, "switch to the next cluster now")
    events = command("events", _events, "what happened, oldest first")
    events.add_argument("--follow", "-f", action="store_true", help="and what happens from now on, until Ctrl-C")
    command("url", _url, "the page's address, with its token")
    firmware.add(command)
    graphs.add(command)
    usb.add(command)
    return made


def _client(given: argparse.Namespace) -> Client:
    return Client(getattr(given, "runtime_dir", None))


def _status(given: argparse.Namespace) -> Answer:
    with _client(given) as daemon:
        if given.watch:
            return _live(daemon, show.status)
        if given.json:
            return _json(daemon)
        status = daemon.status()
    _print(show.status(status))
    return _health(status.daemon.state)


def _json(daemon: Client) -> Answer:
    """Print the document as the daemon sent it, so that scripts see the fields of a newer daemon too."""
    import json

    document = daemon.status_document()
    print(json.dumps(document, indent=2, ensure_ascii=False))
    return _health(typed(document).daemon.state)


def _top(given: argparse.Namespace) -> Answer:
    with _client(given) as daemon:
        if not sys.stdout.isatty():
            # a script wants the figures, not a picture that moves
            _print(show.top(daemon.status()))
            return 0
        return _live(daemon, show.top)


def _switch(given: argparse.Namespace) -> Answer:
    with _client(given) as daemon:
        print(daemon.switch())
    return 0


def _events(given: argparse.Namespace) -> Answer:
    with _client(given) as daemon:
        if not given.follow:
            _print([show.event(each) for each in daemon.events()])
            return 0
        for several in daemon.follow():
            _print([show.event(each) for each in several])
            sys.stdout.flush()
    return 0


def _url(given: argparse.Namespace) -> Answer:
    """A daemon that has just been started has no page yet: its next words are waited for."""
    until_s = time.monotonic() + PAGE_S
    with _client(given) as daemon:
        while True:
            try:
                print(daemon.url())
                return 0
            except Refused as refused:
                if refused.code != PAGE_NOT_READY or time.monotonic() > until_s:
                    raise
            time.sleep(0.2)


def _health(state: str) -> Answer:
    return 0 if state == "ok" else 1


def _print(lines: show.Lines) -> None:
    terminal = Terminal()
    for line in lines:
        print(terminal.render(line))


def _live(daemon: Client, view: Callable[[Status], show.Lines]) -> Answer:
    """Draw over the last picture every second; into a pipe, one picture after the other."""
    code = 0
    on_screen = sys.stdout.isatty()
    try:
        if on_screen:
            print("\x1b[?1049h\x1b[?25l", end="")
        while True:
            status = daemon.status()
            code = _health(status.daemon.state)
            terminal = Terminal(cut=True)
            rendered = [terminal.render(line) for line in view(status)]
            if on_screen:
                rows = os.get_terminal_size().lines
                print("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in rendered[: rows - 1]) + "\x1b[J", end="", flush=True)
            else:
                print("\n".join([*rendered, ""]), flush=True)
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return code
    finally:
        if on_screen:
            print("\x1b[?25h\x1b[?1049l", end="", flush=True)


if __name__ == "__main__":
    main()
