"""The command line of ncs-clusterd, made from the model: one flag per key, in the model's groups."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from typing import Any, NoReturn, cast, get_args

from pydantic.fields import FieldInfo

import ncs_cluster
from ncs_cluster.config.model import GROUPS, Keys
from ncs_cluster.errors import ConfigError

DESCRIPTION = "Keeps clusters of neural compute sticks at work and cool, and feeds them from cameras."
EPILOG = """examples:
  ncs-clusterd --backend simulated --cluster-size 2
      four simulated sticks, two at work while two cool, and a scene that needs no camera
  ncs-clusterd --source door=rtsp://user:password@camera/stream --source usb:0 --graph ~/graphs/ssd
  ncs-clusterd --source film.mp4 --every-frame --results found.jsonl --no-web
  ncs-clusterd --config /etc/ncs-cluster/ncs-cluster.toml

A flag beats the environment (NCS_CLUSTER_CLUSTER_SIZE=2, tables by __), which beats the file.
While it runs: ncsctl status, ncsctl url.
"""


ORIGINAL = {
    "-grp": "--graph DIR",
    "-mod": "--source realsense or --source usb:N",
    "-wd": "--size WxH",
    "-ht": "--size WxH",
    "-tp": "--background remove",
    "-sd": "--graph DIR",
    "-fd": "one more --graph DIR",
    "-snc": "--cluster-size K",
    "-csc": "--switch-interval S, in seconds",
    "-cst": "--switch-temp C",
    "-numncs": "nothing: sticks are found",
    "-cn": "--source usb:N",
    "-vidfps": "--fps N",
    "-vf": "--source FILE",
    "-skpfrm": "nothing: the newest frame is worked on",
}
"""Flags of the original script, and what they are here: docs/flags.md."""


class _Parser(argparse.ArgumentParser):
    """Reports errors as all settings do: one line, exit code 78, after which systemd does not restart the daemon."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.removeprefix('argument ')}; ncs-clusterd --help lists all flags")


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        columns = os.get_terminal_size(1).columns if os.isatty(1) else 100
        super().__init__(prog, max_help_position=28, width=max(60, min(columns, 110)))


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def choices(field: FieldInfo) -> list[str]:
    """The words a key may be: a closed list, or the built-in plugins."""
    extra, annotation = cast("dict[str, Any]", field.json_schema_extra or {}), field.annotation
    if extra.get("choices"):
        return list(extra["choices"])
    return [word for each in (annotation, *get_args(annotation)) for word in get_args(each) if isinstance(word, str)]


def parser() -> argparse.ArgumentParser:
    """All values stay text: the model validates them."""
    made = _Parser(
        "ncs-clusterd",
        usage="ncs-clusterd [--config FILE] [flags]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    for title in GROUPS:
        group = made.add_argument_group(title)
        for name, field in Keys.model_fields.items():
            extra: Any = field.json_schema_extra
            if extra["group"] != title:
                continue
            description = str(field.description).replace("%", "%%")
            if isinstance(field.default, bool):
                group.add_argument(flag_of(name), action="store_true", help=description)
                continue
            if field.default is not None and not field.default_factory:
                shown = f"{field.default:g}" if isinstance(field.default, float) else field.default
                description += f" [{shown}]"
            many = field.default_factory is not None
            metavar = extra["metavar"] or "|".join(choices(field))
            group.add_argument(flag_of(name), metavar=metavar, action="append" if many else "store", help=description)
    group.add_argument(
        "--config", metavar="FILE", help="Settings in TOML, under the names of the flags; flags and environment beat it."
    )
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", help="Any key of any table: --set simulated.latency_ms=40 (repeatable)."
    )
    group.add_argument("--version", action="version", version=f"ncs-clusterd {ncs_cluster.__version__}")
    group.add_argument("--help", "-h", action="help", help="This.")
    return made


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """The flags that were given, by key: a text, a list of texts, or True. Raises ConfigError."""
    for word in argv:
        if (ours := ORIGINAL.get(word.split("=")[0])) is not None:
            raise ConfigError(f"{word}: is a flag of MultiStickSSDwithRealSense.py; here it is {ours} (docs/flags.md has them all)")
    made = parser()
    given, unknown = made.parse_known_args(list(argv))
    if unknown:
        word = unknown[0].split("=")[0]
        if not word.startswith("-"):
            raise ConfigError(f"{word}: is no flag; a source is given as --source {word}")
        known = [each for action in made._actions for each in action.option_strings]
        near = difflib.get_close_matches(word, known, 1)
        remedy = f"did you mean {near[0]}?" if near else "ncs-clusterd --help lists all flags"
        raise ConfigError(f"{word}: unknown flag; {remedy}")
    return vars(given)
