"""The daemon's jobs in its state directory, from which the next daemon goes on. One daemon at a time keeps those of a directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from ncs_cluster.errors import format_os_error
from ncs_cluster.specs import JobRecord

NAME, LOCK = "jobs.json", "jobs.lock"


class KeptJobs:
    """STATE_DIR/jobs.json."""

    def __init__(self, state_dir: Path | None, log: Callable[[str, str, str], None]) -> None:
        """`state_dir` None: this daemon takes no jobs. `log(level, origin, text)` reports what fails."""
        self._log = log
        self._lock_fd = -1
        self.refusal: str | None = None
        """Why no job can be taken."""
        if state_dir is None:
            self.refusal = "this daemon takes no jobs"
            return
        self._path = state_dir / NAME
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            other = f"another daemon keeps the jobs of {state_dir}"
            self.refusal = other if isinstance(error, BlockingIOError) else f"jobs cannot be kept: {format_os_error(error)}"
            log("warning", "daemon", f"{self.refusal}: no job can be started")

    def load(self) -> list[JobRecord]:
        """Those of the daemon before. A damaged file is set aside."""
        if self.refusal is not None:
            return []
        try:
            jobs = msgspec.json.decode(self._path.read_bytes(), type=list[JobRecord])
            if len({record.job.id for record in jobs}) < len(jobs):
                raise msgspec.ValidationError("two jobs have one number")
            return jobs
        except FileNotFoundError:
            return []
        except OSError as error:
            self._log("error", "daemon", f"the jobs of the last run are not known: {format_os_error(error)}")
        except msgspec.DecodeError as error:
            aside = self._path.with_suffix(".damaged")
            os.replace(self._path, aside)
            self._log("error", "daemon", f"the jobs of the last run are not known: {aside}: {error}; give their commands again")
        return []

    def keep(self, jobs: list[JobRecord]) -> None:
        """The file is whole at any time."""
        if self.refusal is not None:
            return
        draft = self._path.with_suffix(".new")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(jobs), indent=1))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path)
        except OSError as error:
            self._log("error", "daemon", f"jobs would not survive a restart: {format_os_error(error)}")

    def close(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        self._lock_fd = -1
