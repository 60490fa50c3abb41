"""The wheels that a package holds: the project's own, and what it needs, at the versions that are tested together."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from deploy.debian.targets import EXTRAS, REPLACED, Target

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def own(project: Path, folder: Path) -> Path:
    """The project's wheel, built from the checkout."""
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", folder, project], check=True)
    (made,) = folder.glob("ncs_cluster-*.whl")
    return made


def needed(wheel: Path, target: Target, constraints: Path, folder: Path) -> list[Path]:
    """All wheels that `wheel` needs on the target, fetched into `folder`, without itself.

    pip evaluates a requirement's marker for the machine it runs on; here the target's are asked. Raises SystemExit for a
    distribution that deploy/constraints.txt does not pin."""
    pins = target.pins(constraints)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    ask = [(wheel, EXTRAS)]
    while ask:
        lacking: dict[str, Requirement] = {}
        for each, extras in ask:
            for requirement in _requirements(each):
                name = canonicalize_name(REPLACED.get(requirement.name, requirement.name))
                if target.applies(requirement, extras) and name not in found:
                    lacking[name] = requirement
        fetched = _fetched({name: _pinned(each, pins) for name, each in lacking.items()}, target, folder)
        ask = [(fetched[name], tuple(requirement.extras)) for name, requirement in lacking.items()]
        found |= fetched
    return [found[name] for name in sorted(found)]


def _pinned(requirement: Requirement, pins: dict[str, str]) -> str:
    version = pins.get(canonicalize_name(requirement.name))
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        sys.exit(f"deploy/constraints.txt pins no version of {requirement}; renew it: make constraints")
    return version


def _fetched(versions: dict[str, str], target: Target, folder: Path) -> dict[str, Path]:
    """Path of each distribution's wheel, by the distribution's name. Wheels that `folder` holds already are not fetched."""
    lying = {name: _lying(name, version, folder) for name, version in versions.items()}
    if lacking := [f"{name}=={versions[name]}" for name, path in lying.items() if path is None]:
        command = [*PIP, "download", "--no-deps", "--dest", folder, *target.pip_flags(), *lacking]
        subprocess.run(command, check=True)
    found = {name: path or _lying(name, versions[name], folder) for name, path in lying.items()}
    if missing := [name for name, path in found.items() if path is None]:
        sys.exit(f"pip has fetched no wheel of {', '.join(missing)}")
    return {name: path for name, path in found.items() if path is not None}


def _lying(name: str, version: str, folder: Path) -> Path | None:
    for wheel in folder.glob("*.whl"):
        if (each := parse_wheel_filename(wheel.name))[0] == name and each[1] == Version(version):
            return wheel
    return None


def _requirements(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.count("/") == 1 and each.endswith(".dist-info/METADATA")]
        metadata = BytesParser().parsebytes(archive.read(name), headersonly=True)
    return [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
