"""A word that ncsctl does not know gets one line with the nearest one that it does."""

from __future__ import annotations

import pytest

from ncs_cluster.cli import parser
from ncs_cluster.cli.bench import arguments as bench
from ncs_cluster.cli.run import arguments as run
from ncs_cluster.errors import did_you_mean


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["staus"], "ncsctl: staus: is no command; did you mean status?"),
        (["Status"], "ncsctl: Status: is no command; did you mean status?"),
        (["status", "-o", "yaml"], "ncsctl status: yaml: is no value of --output/-o; it takes wide or json"),
        (["xyzzy"], "ncsctl: xyzzy: is no command; ncsctl --help says how"),
        (["status", "--jsn"], "ncsctl: --jsn: unknown flag; did you mean --json?"),
        (["events", "--folow"], "ncsctl: --folow: unknown flag; did you mean --follow?"),
        (["status", "--xyzzy=3"], "ncsctl: --xyzzy: unknown flag; ncsctl --help says how"),
        (["jobs", "lst"], "ncsctl jobs: lst: is no command; did you mean list?"),
        (["jobs", "show", "3", "--jsno"], "ncsctl: --jsno: unknown flag; did you mean --json?"),
        (["switch", "now"], "ncsctl: now: is one word too many; ncsctl --help says how"),
        (
            ["frigate", "--sticks", "many"],
            "ncsctl frigate: argument --sticks: invalid int value: 'many'; ncsctl frigate --help says how",
        ),
        (["sta\x1b[2Jus"], "ncsctl: sta\\x1b[2Jus: is no command; ncsctl --help says how"),
    ],
)
def test_an_unknown_word_is_one_line_with_the_nearest_known_one(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as wrong:
        parser.make().parse_args(words)
    assert wrong.value.code == 2
    assert capsys.readouterr() == ("", f"{line}\n")


def test_commands_with_a_command_line_of_their_own_do_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for made, words, line in (
        (run.parser(), ["x.png", "--grph", "y", "--out", "z"], "ncsctl run: --grph: unknown flag; did you mean --graph?"),
        (run.parser(), ["x.png"], "ncsctl run: the following arguments are required: --graph, --out; ncsctl run --help says how"),
        (bench.parser(), ["--grahp", "y"], "ncsctl bench: --grahp: unknown flag; did you mean --graph?"),
    ):
        with pytest.raises(SystemExit) as wrong:
            made.parse_args(words)
        assert wrong.value.code == 2
        assert capsys.readouterr().err == f"{line}\n"


def test_a_name_that_is_near_no_other_gets_no_suggestion() -> None:
    assert did_you_mean("ncs-1-1.3", ["ncs-1-1.2", "cpu-1"]) == "; did you mean ncs-1-1.2?"
    assert did_you_mean("xyzzy", ["ncs-1-1.2", "cpu-1"]) == ""
    assert did_you_mean("x", []) == ""
