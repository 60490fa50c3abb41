"""How tests look at a page and wait for what it shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(holds: Callable[[], Any], timeout_s: float = 40.0) -> Any:
    """What `holds` returns once it is true."""
    until_s = time.monotonic() + timeout_s
    while not (value := holds()):
        assert time.monotonic() < until_s, f"not in {timeout_s:g} s"
        time.sleep(0.1)
    return value


def texts(browser: Any, selector: str) -> list[str]:
    """The text of each element."""
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((it) => it.textContent)", selector
    )
    return found
