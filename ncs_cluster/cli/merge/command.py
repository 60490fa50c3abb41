"""The steps of `ncsctl merge`: check the parts, join each output, summary."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from ncs_cluster.cli.job_folder import folder_named, locked
from ncs_cluster.cli.merge.parts import Opened, opened
from ncs_cluster.cli.run.plan import LEDGER
from ncs_cluster.cli.run.progress import NAMED, duration
from ncs_cluster.cli.suggesting import Parser
from ncs_cluster.errors import ConfigError, NcsClusterError, format_os_error, one_line
from ncs_cluster.jobs import layout
from ncs_cluster.plugins import load
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.sinks import SINKS
from ncs_cluster.sinks.base import Joining, Part, Sink
from ncs_cluster.specs import SinkSpec

DONE, WITH_FAILURES, NOT_DONE, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "ncsctl merge"
MARK = ".ncs-cluster-merge"
"""The file that says of which job a folder holds the joined outputs."""
DESCRIPTION = """Make the outputs of a whole job of those of its parts: the folders of ncsctl run --shard I/N, which
may have been copied from other machines, or one folder with numbered files (--shard-size). The parts stay
as they are. After an interruption the same command does it anew."""
EPILOG = """exit codes: 0 all done, 1 done, with failed items, 2 not done, 130 interrupted

examples:
  ncsctl merge machine-1/found machine-2/found --out all
  ncsctl merge found --out one
"""


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    given = parser().parse_args(list(argv))
    folders, out = [Path(os.path.abspath(each)) for each in given.parts], Path(os.path.abspath(given.out))
    try:
        with ExitStack() as held:
            return _merged(folders, out, held, quiet=given.quiet)
    except NcsClusterError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(format_os_error(error))
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; the same command does it anew", file=sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    made = Parser(
        PROGRAM, description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("parts", metavar="DIR", nargs="+", help="the --out folder of a part; all parts, in any order")
    made.add_argument("--out", metavar="DIR", type=folder_named, required=True, help="folder of the joined outputs, new or empty")
    made.add_argument("--quiet", action="store_true", help="no summary")
    return made


def _merged(folders: list[Path], out: Path, held: ExitStack, *, quiet: bool) -> int:
    began_s = time.monotonic()
    for place, folder in enumerate(folders):
        if not folder.is_dir():
            raise ConfigError(f"{folder}: there is no such folder")
        if any(os.path.samefile(folder, other) for other in folders[:place]):
            raise ConfigError(f"{folder} is named twice")
        if out.exists() and os.path.samefile(folder, out):
            raise ConfigError(f"--out {out}: is the folder of a part; choose a new folder")
        held.enter_context(locked(folder))
    parts = opened(folders, held)
    sinks = {kind: _joining(kind, options, out) for kind, options in parts[0].outputs.items()}
    held.enter_context(locked(out))
    _take(out, parts)
    ledgers = [part.ledger for part in parts]
    for kind, sink in sinks.items():
        of_parts = [Part(str(each.folder), _sink(kind, each.outputs[kind], each.folder), each.ledger) for each in parts]
        sink.join(of_parts, layout.order(ledgers))
    failed = sum(ledger.failed for ledger in ledgers)
    if not quiet:
        frames = sum(layout.total(ledger) for ledger in ledgers)
        of = f" of {len(parts)} parts" if len(parts) > 1 else ""
        print(f"{frames:,} frames{of}, {failed:,} failed; joined in {duration(time.monotonic() - began_s)}")
        for failure in islice((each for ledger in ledgers for each in ledger.failures(NAMED)), NAMED):
            print(f"  {one_line(failure.reason)}")
        if failed > NAMED:
            print(f"  and {failed - NAMED:,} more; the outputs have them all")
    return WITH_FAILURES if failed else DONE


def _joining(kind: str, options: dict[str, object], out: Path) -> Joining:
    made = _sink(kind, {**options, "shard_size": 0} if "shard_size" in options else options, out)
    if not isinstance(made, Joining):
        raise ConfigError(f"format {kind}: its plugin cannot join parts; leave it out of the job, or ask its author")
    return made


def _sink(kind: str, options: dict[str, object], folder: Path) -> Sink:
    """The sink of an output in a job's folder. Raises ConfigError for a format that is not installed."""
    if kind not in SINKS or SINKS.get(kind).output is None:
        raise ConfigError(f"there is no format {kind!r}: install the package that the job had it from")
    plugin = SINKS.get(kind)
    place = load(plugin.parse)(str(folder / str(plugin.output)), Path)
    own = {**options, **place.options, **({"ledger": str(folder / LEDGER)} if "ledger" in options else {})}
    try:
        return made_sink(SinkSpec(kind, own, place.shown))
    except ValueError as error:
        raise ConfigError(f"format {kind}: {error}") from error


def _take(out: Path, parts: Sequence[Opened]) -> None:
    """The folder must be new, or hold what the same command has left: a file of the user's own must not be written over."""
    mark = hashlib.sha256(json.dumps(parts[0].same, sort_keys=True).encode()).hexdigest() + "\n"
    found = out / MARK
    said = found.read_text() if found.exists() else ""
    if not said and any(each.name != MARK for each in out.iterdir()):
        raise ConfigError(f"--out {out}: holds other files; choose a new folder")
    if said not in ("", mark):
        raise ConfigError(f"--out {out}: holds the outputs of another job; choose a new folder")
    if not said:
        found.write_text(mark)


def _refused(line: str) -> int:
    print(f"{PROGRAM}: {one_line(line)}", file=sys.stderr)
    return NOT_DONE
