"""A program that is run and a webhook that is called, with real programs and a real server."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from ncs_cluster.sinks._notify_edges import notification
from ncs_cluster.sinks._notify_ways import NotSent, Program, Webhook

TOLD = notification("degraded", "ok", ["sim-1 is absent: $(touch pwned); `id`", "two\0\nlines"], "pi", "1.0", 1700000000.25)


def program(code: str, *words: str, timeout_s: float = 60.0) -> Program:
    return Program([sys.executable, "-c", code, *words], timeout_s)


def test_a_program_gets_the_text_and_the_figures_and_no_shell_sees_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import json, os, sys\n"
        "told = {name: value for name, value in os.environ.items() if name.startswith('NCS_') and 'CLUSTER' not in name}\n"
        "json.dump([sys.stdin.read(), sys.argv[2:], told], open(sys.argv[1], 'w'))"
    )
    program(code, str(out), "$HOME; a b", "*").send(TOLD)
    text, words, told = json.loads(out.read_text())
    assert text == TOLD.text + "\n"
    assert words == ["$HOME; a b", "*"]
    assert told == {
        "NCS_EVENT": "degraded",
        "NCS_STATE": "degraded",
        "NCS_BEFORE": "ok",
        "NCS_HOST": "pi",
        "NCS_TITLE": "ncs_cluster on pi is degraded",
        "NCS_REASONS": "sim-1 is absent: $(touch pwned); `id`\ntwo \nlines",
        "NCS_AT": "1700000000.250",
    }


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (program("raise SystemExit(3)"), "the command failed with exit code 3"),
        (Program(["/nonexistent/mail"], 5.0), "the command cannot be started: "),
        (Program([__file__], 5.0), "the command cannot be started: "),
    ],
)
def test_a_program_that_fails_is_told_in_one_line(sent: Program, why: str) -> None:
    with pytest.raises(NotSent, match=f"^{why}[^\n]*$"):
        sent.send(TOLD)


def test_a_program_that_never_ends_is_killed_with_those_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid}'); time.sleep(600)"
    )
    with pytest.raises(NotSent, match=r"^the command has not ended within 4 s$"):
        program(code, str(pids), timeout_s=4.0).send(TOLD)
    for pid in pids.read_text().split():
        until_s = time.monotonic() + 20
        while runs(int(pid)):
            assert time.monotonic() < until_s, f"{pid} still runs"
            time.sleep(0.05)


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_no_descriptor_is_left_by_a_hundred_programs() -> None:
    sent = Program(["/bin/true"], 20.0)
    sent.send(TOLD)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        sent.send(TOLD)
    assert len(os.listdir("/proc/self/fd")) == before


class Server:
    """Answers POST with `status`, after `wait`, and keeps what it gets."""

    def __init__(self) -> None:
        self.status, self.headers_sent, self.got = 200, dict[str, str](), list[tuple[str, str, Any]]()
        self.release = threading.Event()
        self.release.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, self.headers["Content-Type"], json.loads(body)))
                outer.release.wait(60)
                self.send_response(outer.status)
                for name, value in outer.headers_sent.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/canary-secret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_a_webhook_gets_the_document_as_json(server: Server) -> None:
    Webhook(server.url, 20.0).send(TOLD)
    ((path, kind, body),) = server.got
    assert (path, kind) == ("/services/canary-secret", "application/json")
    assert body == {**TOLD.document(), "reasons": list(TOLD.reasons)}


@pytest.mark.parametrize("status", [302, 307, 401, 404, 500])
def test_a_refusal_is_told_without_the_address_and_no_redirect_is_followed(server: Server, status: int) -> None:
    server.status, server.headers_sent = status, {"Location": server.url + "/elsewhere"}
    with pytest.raises(NotSent) as refused:
        Webhook(server.url, 20.0).send(TOLD)
    assert str(refused.value) == f"the webhook answers {status}"
    assert len(server.got) == 1


def test_a_server_that_is_not_there_is_told_without_the_address() -> None:
    with pytest.raises(NotSent, match=r"^the webhook cannot be reached: Connection refused$") as refused:
        Webhook("http://127.0.0.1:1/canary-secret", 20.0).send(TOLD)
    assert "canary" not in str(refused.value)


def test_a_server_that_does_not_answer_is_waited_for_no_longer_and_not_asked_twice_at_once(server: Server) -> None:
    server.release.clear()
    webhook = Webhook(server.url, 1.0)
    with pytest.raises(NotSent, match=r"^the webhook has not answered within 1 s$"):
        webhook.send(TOLD)
    for _ in range(3):
        with pytest.raises(NotSent, match="webhook"):
            webhook.send(TOLD)
    assert threading.active_count() < 20
