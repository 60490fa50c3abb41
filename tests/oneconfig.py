"""Settings from a command line, a file and an environment: for tests of config."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import Settings

NO_GRAPH = ["--backend", "simulated", "--graph", "none"]


def simulated(*argv: str, **environ: str) -> Settings:
    return load([*NO_GRAPH, *argv], environ)


def refusal(*argv: str, **environ: str) -> str:
    """The line that is said."""
    with pytest.raises(ConfigError) as caught:
        load([*NO_GRAPH, *argv], environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


class Write:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, text: str | bytes) -> list[str]:
        """The flags that read a file with this text."""
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return ["--config", str(self.path)]
