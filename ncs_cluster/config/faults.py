"""All faults of a command line, an environment and a file: after a fault, every part that does not depend on it is judged too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ncs_cluster.config.assembled import assembled
from ncs_cluster.config.context import AlreadyTold, Context, refusals
from ncs_cluster.config.flags import parse
from ncs_cluster.config.layers import KeyPath, Layers
from ncs_cluster.config.merged import merged, validated
from ncs_cluster.config.model import Root, root_for
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import Settings

ROUNDS = 20
"""Most times that wrong keys are left out and the rest is judged again."""


class _Missing:
    """A part that cannot be made; its fault is in Context.told."""


MISSING = _Missing()


def faults(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], Settings | None, list[str]]:
    """One line for each fault, the settings where there is none, and notices. --help and --version print and raise SystemExit(0).
    Raises OSError for what a later attempt may find."""
    try:
        layers = merged(parse(argv), environ)
        layers.numbered = True
        root, found = right_keys(layers)
    except ConfigError as error:
        return [str(error)], None, []
    if root is None:
        return found, None, []
    context = Context(root, layers, environ)
    context.told = []

    def attempt(part: Any, *given: Any) -> Any:
        if any(each is MISSING for each in given) or (isinstance(given[-1], dict) and MISSING in given[-1].values()):
            return MISSING
        try:
            return part(*given)
        except AlreadyTold:
            return MISSING
        except ConfigError as error:
            assert context.told is not None
            context.told.append(str(error))
            return MISSING

    made = assembled(context, attempt)
    found = sorted(dict.fromkeys([*found, *context.told]), key=lambda line: _number(line, layers))
    return found, None if found or not isinstance(made, Settings) else made, context.notices


def _number(fault: str, layers: Layers) -> int:
    """The number of the file's line that a fault names; those of flags and variables come last."""
    name = "" if layers.file is None else f"{layers.file.name}:"
    number = fault.removeprefix(name).partition(":")[0] if fault.startswith(name) else ""
    return int(number) if number.isdecimal() else 1 << 30


def right_keys(layers: Layers) -> tuple[Root | None, list[str]]:
    """The keys that are right, and the faults of those that are not. None: nothing is left to judge."""
    found: list[str] = []
    for _ in range(ROUNDS):
        try:
            return validated(layers), found
        except ValidationError as error:
            model = root_for(layers.tree)
            found += [str(each) for each in refusals(error, layers, model)]
            wrong = [tuple(str(part) for part in each["loc"]) for each in error.errors()]
            if not sum(_left_out(layers, path) for path in wrong):
                return None, found
    return None, found


def _left_out(layers: Layers, path: KeyPath) -> bool:
    """Delete a wrong key from the tree, or the table that lacks a key. False: neither is there."""
    at, here = 0, layers.tree
    while at < len(path) - 1 and isinstance(here.get(path[at]), dict):
        at, here = at + 1, here[path[at]]
    if path[at] in here:
        del here[path[at]]
    elif at:
        return _left_out(layers, path[:at])
    else:
        return False
    return True
