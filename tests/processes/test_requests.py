"""Who may ask for what: a job is taken from the daemon's own user alone."""

from __future__ import annotations

import os
import pwd
from typing import Any

import msgspec
import pytest

from ncs_cluster import control_messages as c
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import JobGiven
from ncs_cluster.processes.event_log import EventLog
from ncs_cluster.processes.requests import Requests
from ncs_cluster.specs import GraphSpec
from ncs_cluster.testing.world import installation
from tests.core.onejob import JOB

ENCODED = msgspec.Raw(msgspec.msgpack.encode(JOB))


class Asked:
    """Requests of one client, of the user `uid`; its replies and what reached the core are kept."""

    def __init__(self, *, uid: int | None = None, no_jobs: str | None = None, reloading: Any = None) -> None:
        self.replies: list[c.Reply] = []
        self.raised: list[Any] = []
        self.requests = Requests(
            Engine(installation(1), 0.0),
            None,  # type: ignore[arg-type]  # of the status alone
            None,  # type: ignore[arg-type]
            EventLog(lambda stick: None),
            lambda _, reply: self.replies.append(reply),
            lambda _, request: self.raised.append(request),
            no_jobs=no_jobs,
            uid=lambda _: os.getuid() if uid is None else uid,
            reloading=reloading,
        )

    def ask(self, request: c.Request) -> None:
        self.requests.handle("1", request)


def test_a_job_of_the_daemons_own_user_reaches_the_core() -> None:
    asked = Asked()
    asked.ask(c.BeginJob(ENCODED))
    assert (asked.raised, asked.replies) == ([JobGiven(JOB)], [])


def test_a_job_of_another_user_does_not() -> None:
    asked = Asked(uid=os.getuid() + 1)
    asked.ask(c.BeginJob(ENCODED))
    owner = pwd.getpwuid(os.getuid()).pw_name
    why = f"only the daemon's own user may start jobs: sudo -u {owner} ncsctl run ..."
    assert (asked.raised, asked.replies) == ([], [c.Reply(error=why)])


def test_a_daemon_that_takes_no_jobs_says_why() -> None:
    asked = Asked(no_jobs="another daemon keeps the jobs of /state")
    asked.ask(c.BeginJob(ENCODED))
    assert (asked.raised, asked.replies) == ([], [c.Reply(error="another daemon keeps the jobs of /state")])


@pytest.mark.parametrize("content", [b"\xc0", msgspec.msgpack.encode({"out": "/out"})])
def test_what_is_no_job_is_refused_in_one_line(content: bytes) -> None:
    asked = Asked()
    asked.ask(c.BeginJob(msgspec.Raw(content)))
    (reply,) = asked.replies
    assert (reply.error or "").startswith("the job is of another version: ")
    assert asked.raised == []


class Asking:
    """Stands in for Reloading: keeps the clients that ask for a reload."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.shown = [c.Setting("threshold", 0.5, "--threshold")]

    def ask(self, client: str | None = None) -> None:
        self.asked.append(client)


@pytest.mark.parametrize("uid", [0, os.getuid()])
def test_root_and_the_daemons_own_user_may_ask_for_a_reload(uid: int) -> None:
    reloading = Asking()
    asked = Asked(uid=uid, reloading=reloading)
    asked.ask(c.AskReload())
    assert (reloading.asked, asked.replies) == (["1"], [])


def test_no_other_user_may_ask_for_a_reload_and_all_may_see_the_settings() -> None:
    reloading = Asking()
    asked = Asked(uid=os.getuid() + 1, reloading=reloading)
    asked.ask(c.AskReload())
    owner = pwd.getpwuid(os.getuid()).pw_name
    why = f"only root and the daemon's own user may give it new settings: sudo -u {owner} ncsctl reload"
    assert (reloading.asked, asked.replies) == ([], [c.Reply(error=why)])
    asked.ask(c.AskSettings())
    assert msgspec.msgpack.decode(asked.replies[1].body, type=list[c.Setting]) == reloading.shown


@pytest.mark.parametrize("request_", [c.AskReload(), c.AskSettings()])
def test_the_daemon_of_a_program_reads_no_settings(request_: c.Request) -> None:
    asked = Asked()
    asked.ask(request_)
    assert asked.replies == [c.Reply(error="this daemon was started by a program, which gives it its settings")]


def test_settings_that_do_not_fit_into_a_message_are_refused_in_one_line() -> None:
    reloading = Asking()
    reloading.shown = [c.Setting("results", ["x" * 200_000], "--results")]
    asked = Asked(reloading=reloading)
    asked.ask(c.AskSettings())
    why = "the settings are too long for one message; ncsctl config show --config FILE reads the file"
    assert asked.replies == [c.Reply(error=why)]


def test_anyone_who_may_connect_may_change_a_job() -> None:
    asked = Asked(uid=os.getuid() + 1)
    asked.ask(c.ChangeJob("1", "pause"))
    assert asked.raised == [c.ChangeJob("1", "pause")]


def test_the_graphs_are_those_of_the_present_settings() -> None:
    asked = Asked()
    asked.ask(c.AskGraphs())
    (reply,) = asked.replies
    assert msgspec.msgpack.decode(reply.body, type=list[GraphSpec]) == installation(1).graphs


@pytest.mark.parametrize(
    ("owner", "uid", "may"), [(1000, 1000, True), (1000, 0, True), (0, 0, True), (1000, 1001, False), (0, 1000, False)]
)
@pytest.mark.parametrize("verb", ["park", "work", "restart", "forget"])
def test_a_stick_is_changed_by_the_daemons_own_user_and_by_root_alone(
    owner: int, uid: int, may: bool, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: owner)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(("ncs", "x", owner, owner, "", "/", "/bin/sh")))
    asked = Asked(uid=uid)
    asked.ask(c.ChangeStick("sim-1", verb))
    why = "only the daemon's own user and root may change a stick: sudo -u ncs ncsctl ..."
    assert (asked.raised, asked.replies) == (([c.ChangeStick("sim-1", verb)], []) if may else ([], [c.Reply(error=why)]))


@pytest.mark.parametrize("uid", [os.getuid(), os.getuid() + 1])
def test_graphs_of_other_machines_are_taken_from_the_daemons_own_user_alone(uid: int) -> None:
    class Reloading:
        asked: list[Any] = []  # one test has one

        def ask(self, *given: Any) -> None:
            self.asked.append(given)

    given = [("mine@0123456789ab", "/state/guests/0")]
    asked = Asked(uid=uid, reloading=Reloading())
    asked.requests.handle("5", c.ChangeGuests(given))
    if uid == os.getuid():
        assert (Reloading.asked, asked.replies) == ([("5", given)], [])
    else:
        assert Reloading.asked == []
        assert asked.replies == [c.Reply(error="only the daemon's own user may give it graphs")]
