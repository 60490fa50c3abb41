"""Flags that commands over files take as ncs-clusterd does, and pass on to its settings."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

FLAGS = {
    "--backend": ("NAME", "what computes: auto, xlink, myriad, openvino, simulated, ... [auto]"),
    "--sticks": ("N", "how many sticks, of a counted backend"),
    "--cluster-size": ("K", "how many sticks work at once; 0: all [0]"),
    "--switch-interval": ("S", "seconds between switches of the cluster"),
    "--switch-temp": ("C", "temperature at which a stick rests"),
    "--policy": ("NAME", "which sticks work now"),
    "--threshold": ("0..1", "detections below this score are left out; the graph's own without it"),
    "--config": ("FILE", "settings of ncs-clusterd, as far as they are of use here"),
    "--set": ("KEY=VALUE", "any key of the settings (repeatable)"),
    "--state-dir": ("DIR", "where pulled and compiled graphs are"),
}
"""Metavar, sentence."""
SIZE = "1280x720"


def add(parser: argparse.ArgumentParser, flags: Mapping[str, tuple[str, str]]) -> None:
    passed = parser.add_argument_group("sticks and settings, as of ncs-clusterd")
    for flag, (metavar, sentence) in flags.items():
        how = "append" if flag == "--set" else "store"
        passed.add_argument(flag, metavar=metavar, action=how, default=argparse.SUPPRESS, help=sentence.replace("%", "%%"))


def given(parsed: argparse.Namespace, flags: Mapping[str, tuple[str, str]]) -> list[str]:
    """Those that the command line has, as words of a command line."""
    words: list[str] = []
    for flag in flags:
        value: Any = getattr(parsed, flag[2:].replace("-", "_"), None)
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            words += [flag, each]
    return words


def size(parser: argparse.ArgumentParser, text: str | None) -> tuple[int, int]:
    """Width and height of --size WxH. Exits with code 2."""
    found = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text or SIZE)
    if found is None:
        parser.error(f"argument --size: is WxH, as {SIZE}")
    return int(found[1]), int(found[2])
