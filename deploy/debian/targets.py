"""For which Debian and which processor a package is built, and what pip is asked for on its behalf."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("frigate", "grpc", "mqtt", "video")
"""Extras of pyproject.toml that a package holds, for it is complete without the network. Those for files of
millions of pictures (hdf5, parquet) are left out."""
REPLACED = {"opencv-python": "opencv-python-headless"}
"""The same release without windows: a service shows none, and libGL.so.1 with its forty packages is not needed."""


class Suite(NamedTuple):
    """A release of Debian; Raspberry Pi OS has the same interpreters."""

    number: str
    python: str
    """Version of its python3, to which compiled modules are bound."""
    full_python: str
    glibc: tuple[int, int]


class Arch(NamedTuple):
    """A processor."""

    debian: str
    machine: str
    """As uname -m and wheels call it."""


SUITES = {"bookworm": Suite("12", "3.11", "3.11.2", (2, 36)), "trixie": Suite("13", "3.13", "3.13.5", (2, 41))}
ARCHS = {"amd64": Arch("amd64", "x86_64"), "arm64": Arch("arm64", "aarch64")}


class Target(NamedTuple):
    """One package."""

    suite: Suite
    arch: Arch

    def version(self, project: str, revision: int) -> str:
        """Debian's version of release `project`: 0.2.0rc1 comes before 0.2.0, and Debian 12's before Debian 13's."""
        upstream = re.sub(r"(?<=\d)\.?(a|b|rc|dev)(?=\d)", r"~\1", project)
        return f"{upstream}-{revision}~deb{self.suite.number}"

    def markers(self) -> dict[str, str]:
        """What a requirement's marker sees on the target."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.suite.full_python,
            "os_name": "posix",
            "platform_machine": self.arch.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.suite.full_python,
            "python_version": self.suite.python,
            "sys_platform": "linux",
        }

    def pip_flags(self) -> list[str]:
        """With which pip, on any machine, takes wheels for this target and no others."""
        tag = self.suite.python.replace(".", "")
        flags = ["--only-binary=:all:", "--python-version", self.suite.python, "--implementation", "cp"]
        for abi in (f"cp{tag}", "abi3", "none"):
            flags += ["--abi", abi]
        minor = self.suite.glibc[1]
        platforms = [f"manylinux_2_{each}_{self.arch.machine}" for each in range(minor, 16, -1)]
        legacy = {"x86_64": ["manylinux2014", "manylinux2010", "manylinux1"], "aarch64": ["manylinux2014"]}[self.arch.machine]
        for platform in [*platforms, *(f"{each}_{self.arch.machine}" for each in legacy), f"linux_{self.arch.machine}"]:
            flags += ["--platform", platform]
        return flags

    def applies(self, requirement: Requirement, extras: tuple[str, ...] = ()) -> bool:
        """Whether the requirement holds on the target, of a distribution taken with these extras."""
        if requirement.marker is None:
            return True
        return any(requirement.marker.evaluate({**self.markers(), "extra": extra}) for extra in extras or ("",))

    def pins(self, constraints: Path) -> dict[str, str]:
        """Version of each distribution that deploy/constraints.txt names for the target's interpreter."""
        found = {}
        for line in constraints.read_text().splitlines():
            if line and not line.startswith("#"):
                each = Requirement(line)
                if self.applies(each):
                    found[canonicalize_name(each.name)] = str(each.specifier).removeprefix("==")
        return found
