"""The parts of one job: that they are all there, done, and of the same job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from ncs_cluster.cli.run.plan import LEDGER
from ncs_cluster.errors import ConfigError
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.plugins import reason

OF_A_PART = frozenset({"path", "ledger", "detector", "attributes"})
"""Options of outputs that may differ: where they are, and what a graph is called."""


_Count = Annotated[int, msgspec.Meta(ge=1, le=999_999)]
"""As --shard takes it."""
MOST_NAMED = 10


class _Facts(msgspec.Struct):
    """See run.plan.facts."""

    items: int
    names: str
    outputs: dict[str, dict[str, Any]]


class _Job(msgspec.Struct):
    """What is used of run.plan.identity."""

    shard: tuple[_Count, _Count]
    size: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="shard size")


class Opened(NamedTuple):
    """One part."""

    folder: Path
    ledger: Ledger
    number: int
    """From 1."""
    of: int
    """How many parts the job has."""
    outputs: dict[str, dict[str, Any]]
    """Options of each format."""
    same: dict[str, Any]
    """What is the same in all parts, on whichever machine they were made, under the names that a refusal uses."""


def opened(folders: Sequence[Path], held: ExitStack) -> list[Opened]:
    """All parts of one job in order; `held` closes their ledgers. Raises ConfigError, LedgerError, OSError."""
    first, *others = parts = [_opened(folder, held) for folder in folders]
    for other in others:
        _check_same(first, other)
    found: dict[int, Path] = {}
    for part in parts:
        if part.number in found:
            raise ConfigError(
                f"{part.folder} and {found[part.number]} are both part {part.number} of {part.of}; name each part once"
            )
        found[part.number] = part.folder
    if missing := [str(number) for number in range(1, first.of + 1) if number not in found]:
        many, more = len(missing) > 1, ", ..." if len(missing) > MOST_NAMED else ""
        named = ", ".join(missing[:MOST_NAMED]) + more
        raise ConfigError(f"part{'s' * many} {named} of {first.of} {'are' if many else 'is'} missing: name the folder of each")
    if first.of == 1 and not first.same["shard size"]:
        raise ConfigError(f"{first.folder}: is a whole job, each output in one file: there is nothing to join")
    return sorted(parts, key=lambda part: part.number)


def _opened(folder: Path, held: ExitStack) -> Opened:
    path = folder / LEDGER
    if not path.is_file():
        raise ConfigError(f"{folder}: is not the folder of a job: it has no {LEDGER}")
    ledger = held.enter_context(closing(Ledger(str(path))))
    try:
        job = ledger.job
        if job is None or not ledger.complete or not all(sink.finished for sink in ledger.sinks.values()):
            raise ConfigError(f"{folder}: its job is not done; give its ncsctl run command again first")
        if not ledger.facts:
            raise ConfigError(f"{folder}: its job is of an earlier version, which did not note what joining needs; run it anew")
        (number, of), facts = msgspec.convert(job, _Job).shard, msgspec.convert(ledger.facts, _Facts)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: is damaged ({reason(error)}); copy the folder of the job again") from error
    return Opened(folder, ledger, number, of, facts.outputs, _same(job, of, facts))


def _same(job: dict[str, Any], of: int, facts: _Facts) -> dict[str, Any]:
    same = {name: value for name, value in job.items() if name not in ("sources", "shard")}
    outputs = {
        kind: {name: value for name, value in options.items() if name not in OF_A_PART} for kind, options in facts.outputs.items()
    }
    return {**same, "number of parts": of, "list of items": [facts.items, facts.names], "options of outputs": outputs}


def _check_same(first: Opened, other: Opened) -> None:
    one, two = first.same, other.same
    for name in one:
        if one[name] == two.get(name):
            continue
        why = ""
        if name == "graph":
            why = f" ({', '.join(key for key in one[name] if one[name][key] != two[name].get(key))})"
        elif name == "list of items":
            why = f" ({two[name][0]:,} and {one[name][0]:,} items): each machine needs the same files under the same names"
        are = "are" if name in ("formats", "options of outputs") else "is"
        raise ConfigError(f"{other.folder}: is no part of the job of {first.folder}: its {name} {are} not the same{why}")
