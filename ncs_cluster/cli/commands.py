"""The commands of ncsctl that ask the daemon. Each returns its exit code; `runtime_dir`: None where --runtime-dir is not given."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from ncs_cluster.cli import show
from ncs_cluster.cli.events import show_events
from ncs_cluster.cli.text import Terminal
from ncs_cluster.client import Client, Refused, typed
from ncs_cluster.control_messages import PAGE_NOT_READY
from ncs_cluster.status import Status

EVERY_S = 1.0
PAGE_S = 10.0


def status(runtime_dir: str | None, *, json: bool, watch: bool, output: str | None = None) -> int:
    """`output`: json, wide, or None for the whole status as text."""
    with Client(runtime_dir) as daemon:
        if watch:
            return _live(daemon, show.status)
        if json or output == "json":
            return _json(daemon)
        seen = daemon.status()
    if output == "wide":
        from ncs_cluster.cli.show_wide import wide

        _print(wide(seen))
    else:
        _print(show.status(seen))
    return _health(seen)


def _json(daemon: Client) -> int:
    """Print the document as the daemon sent it, so that scripts see the fields of a newer daemon too."""
    import json

    document = daemon.status_document()
    print(json.dumps(document, indent=2, ensure_ascii=False))
    return _health(typed(document))


def top(runtime_dir: str | None) -> int:
    with Client(runtime_dir) as daemon:
        if not sys.stdout.isatty():
            # a script wants the figures once
            _print(show.top(daemon.status()))
            return 0
        return _live(daemon, show.top)


def switch(runtime_dir: str | None) -> int:
    with Client(runtime_dir) as daemon:
        print(daemon.switch())
    return 0


def url(runtime_dir: str | None) -> int:
    """A daemon that has just been started has no page yet: ask again for up to PAGE_S."""
    until_s = time.monotonic() + PAGE_S
    with Client(runtime_dir) as daemon:
        while True:
            try:
                print(daemon.url())
                return 0
            except Refused as refused:
                if refused.code != PAGE_NOT_READY or time.monotonic() > until_s:
                    raise
            time.sleep(0.2)


RUN: dict[str, Callable[..., int]] = {"status": status, "top": top, "switch": switch, "events": show_events, "url": url}
FLAGS: dict[str, tuple[str, ...]] = {"status": ("json", "watch"), "top": (), "switch": (), "events": ("follow",), "url": ()}


def _health(seen: Status) -> int:
    return 0 if seen.daemon.state == "ok" else 1


def _print(lines: show.Lines) -> None:
    terminal = Terminal()
    for line in lines:
        print(terminal.render(line))


def _live(daemon: Client, view: Callable[[Status], show.Lines]) -> int:
    """Redraw the view every second: in place on a terminal, one after the other in a pipe. Ctrl-C returns the last exit code."""
    from contextlib import nullcontext

    from ncs_cluster.cli.live import Screen

    code = 0
    with Screen() if sys.stdout.isatty() else nullcontext() as screen:
        try:
            while True:
                seen = daemon.status()
                code = _health(seen)
                if screen is not None:
                    screen.show(view(seen))
                else:
                    terminal = Terminal(cut=True)
                    print("\n".join([*map(terminal.render, view(seen)), ""]), flush=True)
                time.sleep(EVERY_S)
        except KeyboardInterrupt:
            return code
