"""Steps that change a machine: each prints itself as one line, then is done."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ncs_cluster.errors import NcsClusterError

COMMAND_S = 300.0


class ServiceError(NcsClusterError):
    """The service cannot be installed or taken away here; the text says why, and what to do."""


@dataclass(frozen=True)
class Write:
    """A file with this content, put in place of an older one at once."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = 0o644

    def __str__(self) -> str:
        return f"write   {self.path} (mode {self.mode:04o})"

    def do(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.content)
            os.chmod(draft, self.mode)
            os.replace(draft, self.path)
        except BaseException:
            os.unlink(draft)
            raise


@dataclass(frozen=True)
class Folder:
    """A folder, with this mode where it is new."""

    path: Path
    mode: int

    def __str__(self) -> str:
        return f"folder  {self.path} (mode {self.mode:04o})"

    def do(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(self.mode)


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    path: Path
    target: Path

    def __str__(self) -> str:
        return f"link    {self.path} -> {self.target}"

    def do(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.target)


@dataclass(frozen=True)
class Keep:
    """A file or folder that stays as it is."""

    path: Path

    def __str__(self) -> str:
        return f"keep    {self.path}"

    def do(self) -> None:
        pass


@dataclass(frozen=True)
class Remove:
    """A file, a link, or a folder with all in it."""

    path: Path

    def __str__(self) -> str:
        return f"remove  {self.path}"

    def do(self) -> None:
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Run:
    """A command, without a shell. `needed`: the rest does not make sense without it."""

    words: tuple[str, ...]
    needed: bool = True

    def __str__(self) -> str:
        return f"run     {' '.join(self.words)}"

    def do(self) -> None:
        try:
            done = subprocess.run(
                self.words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said, code = str(error), 1
        else:
            said, code = done.stderr.strip().replace("\n", "; "), done.returncode
        if code and self.needed:
            raise ServiceError(f"{' '.join(self.words)} failed: {said or f'exit code {code}'}; the lines above are done")


Step = Write | Folder | Link | Keep | Remove | Run


def perform(steps: Sequence[Step], *, dry_run: bool) -> int:
    """Exit code 0. Raises ServiceError where this user may not, or a step fails."""
    if not dry_run and os.geteuid() != 0:
        raise ServiceError("only root may do this: sudo ncsctl service ...; --dry-run shows what would be done")
    for step in steps:
        print(step, flush=True)
        if not dry_run:
            step.do()
    return 0
