"""Imports OpenVINO without its converter of models (openvino.tools.ovc), which nothing here uses.

The converter takes two thirds of the time of the import, and reports every import over the network (openvino_telemetry), from a
process that it forks. OpenVINO goes on without it where it is not installed. Runs on CPython 3.9.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Dict

CONVERTER = "openvino.tools.ovc"


def load() -> Any:
    """The module `openvino`; its first import leaves out `convert_model`. Raises ImportError where OpenVINO is not installed."""
    # None in sys.modules makes an import raise ModuleNotFoundError
    modules: Dict[str, Any] = sys.modules
    hidden = CONVERTER not in modules
    if hidden:
        modules[CONVERTER] = None
    try:
        return import_module("openvino")
    finally:
        if hidden:
            del modules[CONVERTER]
