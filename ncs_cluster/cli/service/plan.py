"""What installing and taking away the service consists of. Nothing is changed here: a plan is made, or refused whole."""

from __future__ import annotations

import hashlib
import json
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import ncs_cluster
from ncs_cluster.cli.service.steps import Folder, Keep, Link, Remove, Run, ServiceError, Step, Write

UNITS = ("ncs-clusterd.service", "ncs-frigate.service")
COMMANDS = ("ncs-clusterd", "ncsctl")
SHIPPED_BIN = "/opt/ncs-cluster/bin"
"""Where the shipped units look for the commands; an installed unit names the environment it was installed from."""
DEBIAN = Path("/usr/lib/ncs-cluster")


@dataclass(frozen=True)
class Place:
    """The machine, and the installation by pip whose service it gets."""

    root: Path
    """The machine's files, "/" but in tests."""
    prefix: Path
    """The Python environment with the commands in `bin`."""
    shipped: Path
    """The folder with unit, rule, settings and completions, as this release has them."""

    @staticmethod
    def here() -> Place:
        """This machine, and the environment that runs this program."""
        return Place(Path("/"), Path(sys.prefix), shipped())

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    @property
    def etc(self) -> Path:
        return self.at("/etc/ncs-cluster")

    @property
    def manifest(self) -> Path:
        """File with the digest of each installed file. A file with another digest was changed after the installation."""
        return self.etc / "installed.json"

    def read(self, name: str) -> bytes:
        return (self.shipped / name).read_bytes()


def shipped() -> Path:
    """What a machine gets besides the package: inside the installed package, or in a checkout."""
    package = Path(ncs_cluster.__file__).parent
    inside = package / "deploy"
    return inside if inside.is_dir() else package.parent / "deploy"


def files(place: Place) -> dict[Path, bytes]:
    """Content of each file that belongs to the service and is no setting."""
    found = {place.at("/etc/sysusers.d/ncs-cluster.conf"): place.read("ncs-cluster.sysusers.conf")}
    found[place.at("/etc/udev/rules.d/99-ncs-cluster.rules")] = place.read("99-ncs-cluster.rules")
    for unit in UNITS:
        text = place.read(unit).replace(SHIPPED_BIN.encode(), str(place.prefix / "bin").encode())
        found[place.at("/etc/systemd/system") / unit] = text
    for file, target in {
        "completions/ncsctl.bash": "/usr/local/share/bash-completion/completions/ncsctl",
        "completions/ncs-clusterd.bash": "/usr/local/share/bash-completion/completions/ncs-clusterd",
        "completions/ncsctl.zsh": "/usr/local/share/zsh/site-functions/_ncsctl",
        "completions/ncs-clusterd.zsh": "/usr/local/share/zsh/site-functions/_ncs-clusterd",
    }.items():
        if (place.shipped / file).is_file():
            found[place.at(target)] = place.read(file)
    return found


def install(place: Place, *, start: bool) -> list[Step]:
    """Steps that make the service, or bring it up to date. Raises ServiceError where a file was changed, or it could not run."""
    _check_prefix(place)
    wanted, known = files(place), _known(place)
    _check_unchanged({path: content for path, content in wanted.items() if path.exists()}, known, "overwritten")
    stale = [path for path in known if path not in wanted and path.exists()]
    _check_unchanged(dict.fromkeys(stale, b""), known, "removed")
    changed = {path: content for path, content in wanted.items() if not path.exists() or path.read_bytes() != content}
    steps: list[Step] = [Write(path, content) for path, content in changed.items() if "sysusers.d" in str(path)]
    steps += [Run(("systemd-sysusers", str(place.at("/etc/sysusers.d/ncs-cluster.conf"))))]
    steps += _settings(place)
    steps += [Write(path, content) for path, content in changed.items() if "sysusers.d" not in str(path)]
    steps += [Remove(path) for path in stale]
    digests = {str(path): hashlib.sha256(content).hexdigest() for path, content in wanted.items()}
    if digests != {str(path): digest for path, digest in known.items()}:
        steps.append(Write(place.manifest, (json.dumps(digests, indent=1) + "\n").encode()))
    for command in COMMANDS:
        link, target = place.at("/usr/local/bin") / command, place.prefix / "bin" / command
        if link.exists() and not link.is_symlink():
            raise ServiceError(f"{link} is another program; move it away first")
        if not link.is_symlink() or link.readlink() != target:
            steps.append(Link(link, target))
    steps += _udev()
    steps.append(Run(("systemctl", "daemon-reload")))
    steps.append(Run(("systemctl", "enable", *(["--now"] if start else []), UNITS[0])))
    unit = place.at("/etc/systemd/system") / UNITS[0]
    if start and unit in changed and unit.exists():
        steps.append(Run(("systemctl", "restart", UNITS[0])))
    return steps


def uninstall(place: Place, *, purge: bool) -> list[Step]:
    """Steps that take the service away. Raises ServiceError where a file was changed."""
    known = _known(place)
    there = [path for path in known if path.exists()]
    _check_unchanged(dict.fromkeys(there, b""), known, "removed")
    steps: list[Step] = []
    if there:
        steps.append(Run(("systemctl", "disable", "--now", *UNITS), needed=False))
    steps += [Remove(path) for path in there]
    for command in COMMANDS:
        link = place.at("/usr/local/bin") / command
        if link.is_symlink() and link.readlink() == place.prefix / "bin" / command:
            steps.append(Remove(link))
    if there:
        steps += [Run(("systemctl", "daemon-reload")), *_udev()]
    if place.manifest.exists():
        steps.append(Remove(place.manifest))
    settings, state = [place.etc], [place.at("/var/lib/ncs-cluster")]
    if purge:
        steps += [Remove(path) for path in (*settings, *state) if path.exists()]
        steps.append(Run(("userdel", "ncs"), needed=False))
    else:
        steps += [Keep(path) for path in (*settings, *state) if path.exists()]
    steps.append(Keep(place.prefix))
    return steps


def _settings(place: Place) -> list[Step]:
    """Settings, token and state: written once, then their owner's."""
    config, token, state = place.etc / "ncs-cluster.toml", place.etc / "token", place.at("/var/lib/ncs-cluster")
    steps: list[Step] = []
    if not place.etc.is_dir():
        steps.append(Folder(place.etc, 0o750))
    steps.append(Run(("chgrp", "ncs", str(place.etc))))
    for path, content in ((config, place.read("ncs-cluster.toml")), (token, f"{secrets.token_urlsafe()}\n".encode())):
        if path.exists():
            steps.append(Keep(path))
            if path.stat().st_gid == 0:
                # left by an interrupted install; the service could not read it
                steps.append(Run(("chgrp", "ncs", str(path))))
        else:
            steps += [Write(path, content, 0o640), Run(("chgrp", "ncs", str(path)))]
    if not state.is_dir():
        steps += [Folder(state, 0o750), Run(("chown", "ncs:ncs", str(state)))]
    return steps


def _udev() -> list[Step]:
    trigger = ("udevadm", "trigger", "--action=change", "--subsystem-match=usb", "--attr-match=idVendor=03e7")
    return [Run(("udevadm", "control", "--reload"), needed=False), Run(trigger, needed=False)]


def _known(place: Place) -> dict[Path, str]:
    """Digest of each file as it was installed."""
    try:
        read = json.loads(place.manifest.read_bytes())
        return {Path(path): str(digest) for path, digest in read.items() if place.root in Path(path).parents}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise ServiceError(f"{place.manifest}: is damaged ({error}); remove it, and the files that the service had") from error
    except PermissionError as error:
        raise ServiceError(f"{place.manifest}: only root may read it: sudo ncsctl service ...") from error


def _check_unchanged(contents: dict[Path, bytes], known: dict[Path, str], done: str) -> None:
    """Raises ServiceError for a file that is neither `contents` nor as it was installed."""
    for path, content in contents.items():
        there = path.read_bytes()
        if there != content and hashlib.sha256(there).hexdigest() != known.get(path):
            raise ServiceError(
                f"{path}: is not as ncsctl wrote it, so it is not {done}; move it away (own settings of a unit: systemctl edit)"
            )


def _check_prefix(place: Place) -> None:
    """Raises ServiceError where user ncs could not start what is in `prefix`."""
    if place.prefix == DEBIAN:
        raise ServiceError("this is Debian's package ncs-cluster, which has its service already: systemctl status ncs-clusterd")
    for command in COMMANDS:
        if not (place.prefix / "bin" / command).is_file():
            raise ServiceError(f"{place.prefix}/bin has no {command}: install the package there with pip or pipx first")
    for folder in [place.prefix, *place.prefix.parents]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            remedy = "install into a place of its own, such as sudo python3 -m venv /opt/ncs-cluster"
            raise ServiceError(f"{folder} is closed to other users, so the service could not start what is in it; {remedy}")
