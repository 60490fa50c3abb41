"""Texts without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.cli.support.scrub import Scrub


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("opened rtsp://admin:hunter2@10.0.0.7:554/live", "opened rtsp://***@10.0.0.7:554/live"),
        ('{"source": "rtsp://admin:p@ss@cam/live"}', '{"source": "rtsp://***@cam/live"}'),
        ("GET http://cam/snapshot.jpg?pwd=1234x&size=2", "GET http://cam/snapshot.jpg?pwd=***&size=***"),
        ("admin:hunter2@10.0.0.7/live", "***@10.0.0.7/live"),
        ("door=admin:hunter2@10.0.0.7/live", "door=***@10.0.0.7/live"),
        ("(rtsp://a:hunter2@cam/live)", "(rtsp://***@cam/***"),
        ("Authorization: Bearer abcdef.ghi", "Authorization: ***"),
        ("sent Bearer abcdef.ghi to it", "sent Bearer *** to it"),
        ("mqtt.password=hunter2 is wrong", "mqtt.password=*** is wrong"),
        ('"api_key": "k-123456",', '"api_key": "***",'),
        ("a frame token of 12 slots", "a frame token of 12 slots"),
        ("12:03:04 sim-1: is ready: simulated stick", "12:03:04 sim-1: is ready: simulated stick"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(text: str, without: str) -> None:
    assert Scrub().text(text) == without


def test_settings_keep_their_shape_and_lose_their_secrets_which_are_left_out_elsewhere_too(tmp_path: Path) -> None:
    password = tmp_path / "mqtt"
    password.write_text("from a file\n")
    password.chmod(0o600)
    scrub = Scrub()
    tree = {
        "source": ["door=rtsp://admin:hunter2@cam/live"],
        "mqtt": {"broker": "nas", "password-file": "mqtt", "user": "me"},
        "sinks": {"x": {"api_key": "canary-1", "pin": 7, "auth": ["canary-2", "canary-3"]}},
        "threshold": 0.6,
        "no-web": False,
    }
    assert scrub.settings(tree, folder=tmp_path) == {
        "source": ["door=rtsp://***@cam/live"],
        "mqtt": {"broker": "nas", "password-file": "mqtt", "user": "me"},
        "sinks": {"x": {"api_key": "***", "pin": 7, "auth": ["***", "***"]}},
        "threshold": 0.6,
        "no-web": False,
    }
    said = scrub.text("hunter2, canary-1, canary-2, canary-3 and 'from a file' and from%20a%20file")
    assert said == "***, ***, ***, *** and '***' and ***"


@pytest.mark.parametrize("key", ["nkey_file", "credentials-file"])
def test_what_files_of_keys_hold_is_left_out(tmp_path: Path, key: str) -> None:
    path = tmp_path / "key"
    path.write_text("-----BEGIN USER NKEY SEED-----\nSUCANARY4711\n------END USER NKEY SEED------\n")
    path.chmod(0o600)
    scrub = Scrub()
    assert scrub.settings({key: "key"}, folder=tmp_path) == {key: "key"}
    assert scrub.text("seed SUCANARY4711") == "seed ***"


SECRETS = st.text(min_size=4, max_size=40).filter(lambda secret: len(secret.strip()) >= 4 and "*" not in secret)


@given(SECRETS, st.text(max_size=40), st.text(max_size=40))
def test_a_secret_that_is_known_stands_in_no_text_and_no_json(secret: str, before: str, after: str) -> None:
    scrub = Scrub()
    scrub.learn(secret)
    assert secret not in scrub.text(before + secret + after)
    for ascii_only in (True, False):
        quoted = json.dumps(secret, ensure_ascii=ascii_only)
        assert quoted not in scrub.text(json.dumps([before, secret, after], ensure_ascii=ascii_only))


def test_the_time_for_a_long_text_grows_with_its_length_alone() -> None:
    """The square of its length would be hours."""
    code = (
        "from ncs_cluster.cli.support.scrub import Scrub\n"
        "for part in ('x', 'x@', 'a://', 'token=', 'token ', '=', 'a.b-', '@:'):\n"
        "    print(len(Scrub().text(part * 100_000)) > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True"] * 8
