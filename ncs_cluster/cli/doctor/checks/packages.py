"""Python packages that the daemon needs: installed, of a version that was tried, and not broken: each is imported in a process
of its own, because a damaged binary may crash or hang it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, fail, passed, skip, warn
from ncs_cluster.sources._shared_libraries import missing_shared_library

OURS = "ncs-cluster"
LIMIT_S = 6.0
MODULES = {"opencv-python": "cv2", "prometheus-client": "prometheus_client"}
"""Modules whose names differ from those of their packages."""
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    print(name, flush=True)
    try:
        importlib.import_module(name)
    except Exception as error:
        print(name, type(error).__name__ + ":", " ".join(str(error).split()), flush=True)
print("", flush=True)
"""
CHECK = f"{sys.executable} -m pip check"
PIP = f"{sys.executable} -m pip install"


class Package(NamedTuple):
    name: str
    wanted: str
    """ ">=2.0.2,<2.5"."""
    version: str | None
    """None: not installed."""
    needed: bool
    """The daemon cannot start without it."""


class Facts(NamedTuple):
    packages: list[Package]
    broken: dict[str, str] | None
    """Module -> why it cannot be imported; None: they were not tried, a running daemon has loaded them."""
    problem: str | None
    """Why the process that imports them has failed; None: it has not."""


def probe(case: Case) -> Facts:
    packages, limit_s = _packages(), case.patience * LIMIT_S
    if case.status is not None:
        # the running daemon has loaded them, and this machine may have no memory for them twice
        return Facts(packages, None, None)
    names = [MODULES.get(each.name, each.name) for each in packages if each.needed and each.version is not None]
    try:
        return Facts(packages, _import(names, limit_s), None)
    except subprocess.TimeoutExpired:
        return Facts(packages, {}, f"importing them takes longer than {limit_s:.0f} s")
    except OSError as error:
        return Facts(packages, {}, f"{sys.executable} cannot be started: {error.strerror}")


def judge(facts: Facts) -> list[Finding]:
    if not facts.packages:
        return [skip(f"package {OURS} is not installed in this Python: its requirements are not known")]
    found = []
    for name, wanted, version, is_needed in facts.packages:
        if version is None:
            if is_needed:
                found.append(fail(f"package {name} is missing", f"{PIP} '{name}{wanted}'"))
        elif not fits(version, wanted):
            text = f"{name} {version} is installed; tried are {wanted}"
            found.append(warn(text, f"{PIP} '{name}{wanted}'"))
    for module, problem in (facts.broken or {}).items():
        library = missing_shared_library(ImportError(problem))
        if library is not None and "apt install " in library:
            found.append(
                fail(
                    f"{module} cannot be imported: {library.partition(':')[0]}", f"sudo apt install -y {library.rpartition(' ')[2]}"
                )
            )
        else:
            package = next((name for name, known in MODULES.items() if known == module), module)
            found.append(fail(f"{module} cannot be imported: {problem}", f"{PIP} --force-reinstall --no-deps {package}"))
    if facts.problem is not None:
        found.append(warn(facts.problem, f"time {sys.executable} -c 'import cv2, openvino'"))
    count = sum(each.needed for each in facts.packages)
    tried = "are there" if facts.broken is None else "can be imported"
    return found or [passed(f"{count} packages that are needed {tried}, in versions that were tried")]


def fits(version: str, wanted: str) -> bool:
    """Whether a version is in a range such as ">=2.0.2,<2.5". Words behind the numbers, as in 2.1rc1, do not count, and
    of the signs only >=, < and the lower bound of ~= do."""
    have = _numbers(version)
    for each in filter(None, wanted.split(",")):
        bound = each.strip().lstrip("<>=!~")
        sign = each.strip().removesuffix(bound)
        if sign in (">=", "~=") and have < _numbers(bound):
            return False
        if sign == "<" and have >= _numbers(bound):
            return False
    return True


def _numbers(version: str) -> list[int]:
    found = [int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version)[0])]
    return [*found, *[0] * (4 - len(found))]


def _packages() -> list[Package]:
    try:
        requirements = metadata.requires(OURS) or []
    except metadata.PackageNotFoundError:
        return []
    found = dict[str, Package]()
    for each in requirements:
        spec, _, marker = each.partition(";")
        match = re.match(r"\s*([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?([^)]*)\)?", spec)
        if match is None or match[1] == OURS or re.search(r"extra == .(test|check)", marker):
            continue
        name = match[1]
        # OpenCV without windows has another name and the same module
        version = _version(name) or (_version(f"{name}-headless") if name == "opencv-python" else None)
        found[name] = Package(name, match[2].replace(" ", ""), version, not marker.strip())
    return list(found.values())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _import(names: list[str], limit_s: float) -> dict[str, str]:
    """Why modules cannot be imported. Raises TimeoutExpired and OSError. After a crash the rest is imported by another process."""
    broken = dict[str, str]()
    while names:
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
        lines = done.stdout.decode(errors="replace").splitlines()
        broken.update({line.partition(" ")[0]: line.partition(" ")[2] for line in lines if " " in line})
        if done.returncode == 0:
            break
        last = lines[-1].split(" ")[0] if lines else names[0]
        broken[last] = f"the process that imports it dies ({_how(done.returncode)})"
        names = names[names.index(last) + 1 :]
    return broken


def _how(code: int) -> str:
    import signal

    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
