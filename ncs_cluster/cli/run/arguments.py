"""The command line of `ncsctl run`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ncs_cluster.backends import SIMULATED
from ncs_cluster.cli import daemon_flags, options
from ncs_cluster.cli.job_folder import folder_named
from ncs_cluster.cli.suggesting import Parser
from ncs_cluster.sinks import SINKS

DESCRIPTION = """Run a graph over files: pictures, films, folders with all below them, "patterns", list files
(.txt, one path a line), - for standard input. What is done is kept in DIR; the same command goes on
where it was interrupted."""
EPILOG = """exit codes: 0 all done, 1 done with failed items, 2 not done, 130 interrupted, resumable

examples:
  ncsctl run holiday/ --graph yolox_nano --out found --format jsonl,coco
  ncsctl run film.mp4 --graph face-detection-retail-0004 --out faces --backend xlink
  find /archive -name '*.jpg' | ncsctl run - --graph reid --out features --format hdf5
  ncsctl run holiday/ --graph yolox_nano --out found --retry-failed
"""
SILENT_S = 30.0
OF_NATS = ("mount", "carry", "host_timeout", "user", "password_file", "nkey_file", "credentials_file", "ca_file")
FOR_HOSTS = ("--config", "--set", "--state-dir", "--threshold", "--log-level")
"""Flags of a daemon that choose no stick."""
WEIGHT = 0.1
"""Of an attached job's stream, beside cameras of weight 1."""
DAEMON_FLAGS = {**daemon_flags.FLAGS, "--log-level": ("LEVEL", "of DIR/run.log")}


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "ncsctl run",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("sources", metavar="SOURCE", nargs="*", help="what to work on; several keep their order")
    made.add_argument("--graph", metavar="NAME|DIR", required=True, help="the graph; its decoder says what is written")
    made.add_argument(
        "--out", metavar="DIR", type=folder_named, required=True, help="folder of the outputs and of the job's ledger"
    )
    made.add_argument("--format", metavar="F,F", default="jsonl", help=f"outputs: {', '.join(_formats())} [jsonl]")
    made.add_argument("--size", metavar="WxH", help="larger frames are scaled down to this size [1280x720]")
    made.add_argument("--readers", metavar="N", type=int, default=0, help="threads that decode pictures; 0: one for each core [0]")
    made.add_argument("--shard", metavar="I/N", default="1/1", help="only part I of N of the items, as for I of N machines")
    made.add_argument("--shard-size", metavar="N", type=int, default=0, help="records of one file of an output; 0: one file [0]")
    made.add_argument("--retry-failed", action="store_true", help="work on the items that failed, and on nothing else")
    made.add_argument("--strict", action="store_true", help="stop at the first item that fails")
    made.add_argument("--attach", action="store_true", help="run on a running daemon's sticks and graph, beside its cameras")
    made.add_argument("--detach", action="store_true", help="with --attach: do not wait for the end; ncsctl jobs shows it")
    made.add_argument("--weight", metavar="W", type=float, help=f"with --attach: its share, where a camera has 1 [{WEIGHT}]")
    made.add_argument("--runtime-dir", metavar="DIR", help="with --attach: of the daemon")
    made.add_argument("--quiet", action="store_true", help="no progress, no summary")
    hosts = made.add_argument_group("daemons at a NATS server")
    hosts.add_argument("--nats", metavar="URL", help="run on those that take jobs there: nats://HOST[:PORT] or tls://HOST[:PORT]")
    mount = "with --nats: a folder above the files, under the name that hosts have for it (repeatable)"
    hosts.add_argument("--mount", metavar="NAME=DIR", action="append", default=[], help=mount)
    carry = "with --nats: the files go to the hosts through the server, in place of --mount"
    hosts.add_argument("--carry", action="store_true", help=carry)
    silence = f"with --nats: silence after which another host gets a host's work [{SILENT_S:g}]"
    hosts.add_argument("--host-timeout", metavar="S", type=float, help=silence)
    options.nats_login(hosts)
    daemon_flags.add(made, DAEMON_FLAGS)
    return made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Exits with code 2 for a wrong command line. `formats`, `part`, `parts`, `most` are parsed from their texts."""
    made = parser()
    given = made.parse_intermixed_args(list(argv))
    if not given.sources:
        made.error("name a SOURCE: a file, a folder, a pattern in quotes, a list file, or - for standard input")
    given.formats = list(dict.fromkeys(filter(None, given.format.split(","))))
    for name in given.formats or [given.format]:
        if name not in SINKS or SINKS.get(name).output is None:
            made.error(f"argument --format: there is no output {name!r}; known: {', '.join(_formats())}")
    shard = re.fullmatch(r"(\d{1,6})/(\d{1,6})", given.shard)
    if shard is None or not 1 <= int(shard[1]) <= int(shard[2]):
        made.error("argument --shard: is I/N, with I from 1 to N")
    given.part, given.parts = int(shard[1]), int(shard[2])
    given.most = daemon_flags.size(made, given.size)
    _check_attached(made, given)
    _check_nats(made, given)
    for name in ("readers", "shard_size"):
        if getattr(given, name) < 0:
            made.error(f"argument --{name.replace('_', '-')}: must not be negative")
    return given


def _check_attached(made: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if not given.attach:
        for name in ("detach", "weight", "runtime_dir"):
            if getattr(given, name):
                made.error(f"argument --{name.replace('_', '-')}: is for --attach")
        return
    for flag in DAEMON_FLAGS:
        if hasattr(given, flag[2:].replace("-", "_")) and flag != "--config":
            made.error(f"argument {flag}: the daemon has its own; leave it out with --attach")
    given.weight = WEIGHT if given.weight is None else given.weight
    if not 0 < given.weight <= 100:
        made.error("argument --weight: must be above 0, at most 100")


def _check_nats(made: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """`mounts`: absolute paths by name."""
    given.mounts = {}
    if given.nats is None:
        for name in OF_NATS:
            if getattr(given, name):
                made.error(f"argument --{name.replace('_', '-')}: is for --nats")
        return
    for name in ("attach", "detach", "weight", "strict", "readers"):
        if getattr(given, name):
            made.error(f"argument --{name.replace('_', '-')}: is not for --nats; leave one of them out")
    for flag in DAEMON_FLAGS:
        if hasattr(given, flag[2:].replace("-", "_")) and flag not in FOR_HOSTS:
            made.error(f"argument {flag}: hosts have their own; leave it out with --nats")
    if given.carry and given.mount:
        made.error("argument --carry: is in place of --mount; leave one of them out")
    for text in given.mount:
        name, _, path = text.partition("=")
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) is None or not os.path.isdir(path):
            made.error("argument --mount: is NAME=DIR, with a NAME of letters, digits, _ and -, and a folder that is there")
        given.mounts[name] = os.path.abspath(path)
    given.host_timeout = SILENT_S if given.host_timeout is None else given.host_timeout
    if not 1 <= given.host_timeout <= 3600:
        made.error("argument --host-timeout: must be within 1..3600 seconds")


def _formats() -> list[str]:
    return [plugin.name for plugin in SINKS.builtin.values() if plugin.output is not None]


def of_daemon(given: argparse.Namespace, folder: Path) -> list[str]:
    """The flags that ncs-clusterd's settings are read from. `folder`: the job's, which is there. With --attach the graph and the
    sticks are those of the daemon that runs."""
    flags = ["--no-web", "--source", "synthetic"]
    flags += [] if given.attach else ["--graph", given.graph]
    flags += ["--backend", SIMULATED] if given.attach or given.nats is not None else []
    for name in given.formats:
        flags += ["--results", f"{name}:{folder / str(SINKS.get(name).output)}"]
    return flags + daemon_flags.given(given, DAEMON_FLAGS)
