"""Imports msgspec without typing_extensions, which costs 15 ms of CPU and 1 MiB more: that imports inspect, ast, dis and tokenize.

msgspec takes three names from typing_extensions where that is installed, else from typing. Each process of a daemon imports
msgspec, and monitoring calls `ncsctl status` every few seconds on a Raspberry Pi. Runs on CPython 3.9.
"""

from __future__ import annotations

import sys
from typing import Any, Dict

HIDDEN = "typing_extensions"


def load() -> None:
    """Import msgspec, unless this process has imported it or typing_extensions already."""
    modules: Dict[str, Any] = sys.modules
    if "msgspec" in modules or HIDDEN in modules:
        return
    # None in sys.modules makes an import raise ModuleNotFoundError
    modules[HIDDEN] = None
    try:
        import msgspec  # noqa: F401
    finally:
        del modules[HIDDEN]
