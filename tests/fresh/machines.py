"""The machines on which the two README commands are proved: each is Debian with what README asks for, and what is named here."""

from __future__ import annotations

from typing import NamedTuple

README = ("python3", "python3-venv", "make", "git")
COMPILER = ("gcc", "libc6-dev")
BROWSER = ("chromium", "chromium-driver")
ALL = ("libusb-1.0-0", "systemd-container", "udev", *COMPILER, *BROWSER)
USER = "user"


class Machine(NamedTuple):
    """One machine, and the user the commands run as."""

    name: str
    suite: str
    installed: tuple[str, ...] = ()
    """Packages besides README's."""
    root: bool = False
    """The commands run as root, else as an ordinary user."""
    clone: str = "ncs_cluster"
    """The clone's folder, below the user's home."""
    locale: str = "C.UTF-8"
    data: bool = False
    """The published models and media are there."""
    python: str = ""
    """The version of an interpreter that this machine lends, where Debian has none; else the suite's own."""

    @property
    def home(self) -> str:
        return "/root" if self.root else f"/home/{USER}"


SPACED = "my projects/ncs cluster"

MACHINES = (
    Machine("12-bare-root", "bookworm", root=True, locale="C"),
    Machine("12-bare-spaced", "bookworm", clone=SPACED, data=True),
    Machine("12-gcc-spaced", "bookworm", COMPILER, clone=SPACED),
    Machine("12-container", "bookworm", ("systemd-container", *COMPILER), root=True, data=True),
    Machine("12-python3.12", "bookworm", ("libusb-1.0-0", *COMPILER), python="3.12", clone=SPACED, locale="C"),
    Machine("13-bare", "trixie", locale="C"),
    Machine("13-all", "trixie", ALL, root=True, clone=SPACED, locale="de_DE.UTF-8", data=True),
)
