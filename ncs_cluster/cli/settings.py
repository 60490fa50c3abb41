"""Reads settings for a command, in a process that exits afterwards.

pydantic and the plugins' checks would otherwise stay in the memory of a process that runs for weeks.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Optional

import msgspec
from msgspec import structs

from ncs_cluster.control_messages import Setting
from ncs_cluster.errors import EX_CONFIG, PERMANENT_ERRNOS, ConfigError, format_os_error
from ncs_cluster.ipc import starting
from ncs_cluster.processes.child import ask_for_one_thread, die_with_parent
from ncs_cluster.specs import GraphSpec, Settings

SLOW_S = 1.0
"""A start step that takes longer is announced on standard error."""


Change = Callable[[Settings], Settings]


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and every key with its origin."""

    settings: Settings
    shown: list[Setting] = []


def read(program: str, argv: Sequence[str], job: Optional[Change] = None, *, graphs: bool = True) -> Settings:
    """As `loaded`, the settings alone."""
    return loaded(program, argv, job, graphs=graphs).settings


def loaded(program: str, argv: Sequence[str], job: Optional[Change] = None, *, graphs: bool = True) -> Loaded:
    """Checked settings from a command line without the program's name, and the environment. `job` makes those of a job of them,
    before the graphs are tried, where `graphs`. Exits with code 78 and one line where they are refused."""
    readable, writable = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent(parent)
        os.close(readable)
        try:
            answer = _read(program, argv, job, graphs=graphs)
            with os.fdopen(writable, "wb") as pipe:
                pipe.write(answer)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except (KeyboardInterrupt, BrokenPipeError):
            # interrupted, or its parent, which reads the answer, was
            code = 130
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        try:
            answer = pipe.read()
            _, status = os.waitpid(child, 0)
        except KeyboardInterrupt:
            sys.exit(130)
    if not answer or status != 0:
        sys.exit(os.waitstatus_to_exitcode(status))
    return msgspec.msgpack.decode(answer, type=Loaded)


def encoded(settings: object) -> bytes:
    """As msgpack. Raises ConfigError for a name of a file that is not UTF-8."""
    try:
        return msgspec.msgpack.encode(settings)
    except UnicodeEncodeError as error:
        from ncs_cluster.config.error_text import shown

        raise ConfigError(f"{shown(error.object)}: is not UTF-8; rename the file or folder") from error


def checked(program: str, argv: Sequence[str], job: Optional[Change] = None, *, graphs: bool = True) -> Loaded:
    """In this process, each graph loaded once where `graphs`. Raises ConfigError, one line, and OSError for what a later
    attempt may find."""
    from ncs_cluster import config

    with _permanent_errors():
        settings, shown = config.read(argv, os.environ, job=job is not None)
        settings = settings if job is None else job(settings)
        if not graphs:
            return Loaded(settings, shown)
        what = f"checking graphs {', '.join(graph.name for graph in settings.graphs)}"
        slow = threading.Timer(SLOW_S, print, [f"{program}: {what} ..."], {"file": sys.stderr, "flush": True})
        slow.daemon = True
        slow.start()
        with starting.told(settings.runtime_dir, what):
            try_all_graphs(settings)
        slow.cancel()
    return Loaded(settings, shown)


def checked_again(argv: Sequence[str], running: Settings) -> Loaded:
    """Settings of a daemon that has these in effect. Graphs that its sticks have loaded are not tried again.
    Raises as `checked`."""
    from ncs_cluster import config

    with _permanent_errors():
        settings, shown = config.read(argv, os.environ, running=running)
        settings = structs.replace(settings, guests=_staying(settings, running))
        if settings.drivers - running.drivers or _models(settings) != _models(running):
            try_all_graphs(settings)
    return Loaded(settings, shown)


def with_guests(running: Settings, guests: Sequence[tuple[str, str]]) -> Settings:
    """The settings in effect with these guests, names and folders. Those that are new are tried. Raises ConfigError."""
    from ncs_cluster.backends import BACKENDS
    from ncs_cluster.config import guests as guest_folders

    if guests and not running.graphs:
        raise ConfigError("the daemon runs without a graph of its own, so it takes none of other machines")
    blob = any(BACKENDS.get(backend).artifact == "blob" for backend, _ in running.drivers)
    found = [guest_folders.read(folder, name, Path(running.state_dir), blob=blob) for name, folder in guests]
    try_all_graphs(structs.replace(running, graphs=[graph for graph in found if graph not in running.guests]))
    return structs.replace(running, guests=found)


def _staying(settings: Settings, running: Settings) -> list[GraphSpec]:
    """The guests that go on: while the settings allow them, on sticks that were there when they were tried."""
    allowed = any(sink.options.get("graphs") for sink in settings.sinks if sink.kind == "chunks")
    return running.guests if allowed and settings.graphs and settings.drivers <= running.drivers else []


@contextmanager
def _permanent_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # a folder on the way to a named path is closed to this user
        if error.errno in PERMANENT_ERRNOS:
            raise ConfigError(f"{format_os_error(error)}; give this user access") from error
        raise


def _models(settings: Settings) -> list[GraphSpec]:
    """The graphs without their thresholds, which do not change their models."""
    return [structs.replace(graph, threshold=0.0) for graph in settings.graphs]


def _read(program: str, argv: Sequence[str], job: Optional[Change], *, graphs: bool) -> bytes:
    ask_for_one_thread(os.environ)
    try:
        return encoded(checked(program, argv, job, graphs=graphs))
    except ConfigError as error:
        refuse(program, error)
    except OSError as error:
        # such as a share that is not mounted yet: the next start may succeed
        print(f"{program}: {format_os_error(error)}", file=sys.stderr)
        sys.exit(1)


def try_all_graphs(settings: Settings) -> None:
    """Load each graph once by each backend. Raises ConfigError."""
    of_sticks = structs.replace(settings, fallback=None).drivers
    for backend, runtime in sorted(settings.drivers):
        if (line := try_graphs(settings, backend, runtime)) is not None:
            remedy = "; --fallback needs a graph that the CPU can run, too: leave it out, or replace the graph"
            raise ConfigError(line if (backend, runtime) in of_sticks else line + remedy)


def try_graphs(settings: Settings, backend: str, runtime: str, limit_s: Optional[float] = None) -> Optional[str]:
    """Load the graphs once, in the interpreter that will run them. Returns what is wrong, one line. `limit_s`: preflight's without
    one."""
    from ncs_cluster.processes import preflight, spawn

    spec = settings.runtimes.get(runtime)
    if spec is None:
        return preflight.check(settings.graphs, backend, limit_s=limit_s)
    with tempfile.TemporaryDirectory() as folder:
        environment = spawn.environment(spec, Path(folder))
        return preflight.check(settings.graphs, backend, spec.python, environment, limit_s=limit_s)


def refuse(program: str, error: ConfigError) -> NoReturn:
    """One line on standard error; exit code 78."""
    print(f"{program}: {printable(str(error))}", file=sys.stderr)
    sys.exit(EX_CONFIG)


def printable(line: str) -> str:
    """The line as a terminal may show it: it may quote a file or an environment variable."""
    return "".join(c if c.isprintable() else "?" for c in line)
