"""Which USB device is which stick: scans of ports at given times in, sticks found and gone out."""

from __future__ import annotations

import pytest

from ncs_cluster.core.usb_identity import BOOT_S, RETURN_S, UsbIdentity

BEFORE_BOOT, BOOTED = False, True

ROM = dict.fromkeys(["1-1.1", "1-1.2"], BEFORE_BOOT)


def test_a_stick_is_found_once_and_gone_once() -> None:
    ports = UsbIdentity()
    assert ports.update({"1-1.2": BEFORE_BOOT}, (), 0.0) == (["1-1.2"], [])
    assert ports.update({"1-1.2": BEFORE_BOOT}, (), 1.0) == ([], [])
    assert ports.update({}, (), 2.0) == ([], [])
    assert ports.update({}, (), 2.0 + BOOT_S) == ([], ["1-1.2"])
    assert ports.update({}, (), 20.0) == ([], [])
    assert ports.update({"1-1.2": BEFORE_BOOT}, (), 21.0) == (["1-1.2"], [])


def test_a_stick_at_work_is_gone_sooner_than_one_that_may_be_booting() -> None:
    ports = UsbIdentity({"2-1.1": "1-1.1"})
    ports.update({"2-1.1": BOOTED}, ("1-1.1",), 0.0)
    ports.update({}, ("1-1.1",), 1.0)
    assert ports.update({}, ("1-1.1",), 1.0 + RETURN_S) == ([], ["1-1.1"])


def test_a_boot_moves_a_stick_to_another_bus_and_it_stays_the_same() -> None:
    ports = UsbIdentity()
    ports.update(ROM, (), 0.0)
    assert ports.update({"1-1.1": BEFORE_BOOT}, (), 1.0) == ([], [])
    assert ports.update({"1-1.1": BEFORE_BOOT, "2-1.2": BOOTED}, (), 1.5) == ([], [])
    assert ports.pairs == {"2-1.2": "1-1.2"}
    assert ports.update({"2-1.1": BOOTED, "2-1.2": BOOTED}, (), 2.0) == ([], [])
    assert ports.update({"2-1.1": BOOTED, "1-1.2": BEFORE_BOOT}, (), 3.0) == ([], []), "reset, and back at its home"


def test_on_a_bus_without_a_faster_half_the_port_stays() -> None:
    ports = UsbIdentity()
    ports.update(ROM, (), 0.0)
    assert ports.update({"1-1.1": BEFORE_BOOT, "1-1.2": BOOTED}, (), 1.0) == ([], [])
    assert ports.pairs == {"1-1.2": "1-1.2"}


def test_another_chain_is_learned_while_only_one_stick_is_away() -> None:
    ports = UsbIdentity()
    ports.update(ROM, (), 0.0)
    ports.update({"1-1.1": BEFORE_BOOT}, (), 1.0)
    assert ports.update({"1-1.1": BEFORE_BOOT, "2-2": BOOTED}, (), 1.5) == ([], [])
    assert ports.pairs == {"2-2": "1-1.2"}
    again = UsbIdentity(ports.pairs)
    assert again.update({"2-2": BOOTED}, (), 0.0) == (["1-1.2"], []), "what was learned before is known at the next start"


def test_two_that_are_away_at_once_are_told_apart_by_chain_else_by_turn_but_that_is_not_kept() -> None:
    ports = UsbIdentity()
    ports.update(ROM, (), 0.0)
    ports.update({"1-1.1": BEFORE_BOOT}, (), 1.0)
    ports.update({}, (), 1.3)
    assert ports.update({"2-2": BOOTED}, (), 1.6) == ([], [])
    assert ports.port_of["1-1.2"] == "2-2", "the one that left first"
    assert ports.pairs == {}
    assert ports.update({"2-1": BOOTED, "2-2": BOOTED}, (), 1.9) == ([], [])
    assert ports.pairs == {}, "what is left over after a guess is one too"
    ports.update({"1-1.2": BEFORE_BOOT, "2-1": BOOTED}, (), 5.0)
    ports.update({"2-1": BOOTED}, (), 6.0)
    ports.update({"2-1": BOOTED, "2-2": BOOTED}, (), 6.5)
    assert ports.pairs == {"2-2": "1-1.2"}, "of one that boots alone it is none"


def test_of_two_with_equal_chains_what_is_left_over_after_a_guess_is_one_too() -> None:
    """Two controllers, a stick at each."""
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT, "3-1": BEFORE_BOOT}, (), 0.0)
    ports.update({}, (), 1.0)
    ports.update({"4-1": BOOTED}, (), 1.5)
    ports.update({"2-1": BOOTED, "4-1": BOOTED}, (), 2.0)
    assert ports.pairs == {}


def test_a_stick_that_resets_itself_and_shows_twice_is_one_stick() -> None:
    pairs = {"2-1": "1-1.1", "2-2": "1-1.2"}
    ports = UsbIdentity(pairs)
    ports.update({"2-1": BOOTED, "2-2": BOOTED}, (), 0.0)
    assert ports.update({"1-1.1": BEFORE_BOOT, "2-1": BOOTED, "2-2": BOOTED}, (), 1.0) == ([], [])
    assert ports.update({"2-2": BOOTED, "1-1.1": BEFORE_BOOT}, (), 1.5) == ([], [])
    ports.update({"1-1.1": BEFORE_BOOT}, (), 2.0)
    assert ports.update({"2-1": BOOTED}, (), 2.5) == ([], [])
    assert ports.update({"1-1.1": BEFORE_BOOT, "2-1": BOOTED}, (), 3.0) == ([], []), "also while another one is away"
    assert ports.pairs == pairs


def test_what_was_learned_wrong_is_put_right() -> None:
    """Somebody else's stick came up just while ours was booting."""
    ports = UsbIdentity({"3-1": "1-1.2"})
    ports.update({"1-1.2": BEFORE_BOOT}, (), 0.0)
    ports.update({"2-1.2": BOOTED}, (), 1.0)
    assert ports.pairs == {"2-1.2": "1-1.2"}


def test_a_stick_that_another_process_left_booted_is_found_and_called_by_its_home_once_that_shows() -> None:
    ports = UsbIdentity()
    assert ports.update({"2-1.2": BOOTED}, (), 0.0) == (["2-1.2"], [])
    assert ports.update({}, (), 1.0) == ([], [])
    assert ports.update({"1-1.2": BEFORE_BOOT}, (), 1.5) == (["1-1.2"], ["2-1.2"])
    assert ports.update({"2-1.2": BOOTED}, (), 2.0) == ([], [])


def test_of_several_left_booted_with_other_chains_none_is_kept_under_a_wrong_name() -> None:
    """As on a Raspberry Pi 4, when the process they were left by is not missed by their watchdogs one by one, but at once."""
    ports = UsbIdentity()
    ports.update({"2-3": BOOTED, "2-4": BOOTED}, (), 0.0)
    found, gone = ports.update({"1-1.3": BEFORE_BOOT, "1-1.4": BEFORE_BOOT}, (), 1.0)
    assert (sorted(found), sorted(gone), sorted(ports.renamed)) == (["1-1.3", "1-1.4"], ["2-3", "2-4"], ["2-3", "2-4"])
    assert ports.pairs == {}
    assert ports.update({"2-3": BOOTED, "1-1.4": BEFORE_BOOT}, (), 2.0) == ([], [])
    assert ports.update({"2-3": BOOTED, "2-4": BOOTED}, (), 3.0) == ([], [])
    assert ports.update({"2-3": BOOTED, "2-4": BOOTED}, (), 3.0 + BOOT_S) == ([], [])
    assert ports.pairs == {"2-3": "1-1.3", "2-4": "1-1.4"}


def test_a_device_is_a_stick_though_what_was_learned_says_it_is_another_that_is_plugged_in_too() -> None:
    ports = UsbIdentity({"2-1.1": "1-1.2"})
    found, _ = ports.update({"1-1.2": BEFORE_BOOT, "2-1.1": BOOTED}, (), 0.0)
    assert sorted(found) == ["1-1.2", "2-1.1"]
    assert ports.update({**ROM, "2-1.1": BOOTED}, (), 1.0) == (["1-1.1"], []), "the third is not taken for the second's home"
    assert ports.port_of == {"1-1.1": "1-1.1", "1-1.2": "1-1.2", "2-1.1": "2-1.1"}


def test_a_device_keeps_the_name_that_another_one_had_been_lent() -> None:
    ports = UsbIdentity()
    ports.update({"2-3": BOOTED}, (), 0.0)
    ports.update({}, (), 1.0)
    assert ports.update({"2-4": BOOTED}, (), 2.0) == ([], []), "the one that was away, as far as can be told"
    assert ports.update({"2-3": BOOTED, "2-4": BOOTED}, (), 3.0) == (["2-4"], [])
    assert ports.port_of == {"2-3": "2-3", "2-4": "2-4"}


def test_an_orphan_that_is_pulled_is_gone_under_its_name() -> None:
    ports = UsbIdentity()
    ports.update({"2-3": BOOTED}, (), 0.0)
    ports.update({}, (), 1.0)
    assert ports.update({}, (), 1.0 + BOOT_S) == ([], ["2-3"])
    assert ports.renamed == []


def test_a_stick_that_moves_to_another_socket_is_another_stick() -> None:
    ports = UsbIdentity()
    ports.update({"1-1.1": BEFORE_BOOT}, (), 0.0)
    assert ports.update({"1-1.4": BEFORE_BOOT}, (), 1.0) == (["1-1.4"], [])
    assert ports.update({"1-1.4": BEFORE_BOOT}, (), 1.0 + BOOT_S) == ([], ["1-1.1"])


def test_a_new_hub_has_no_sticks_and_its_own_copy_of_what_was_learned() -> None:
    assert (RETURN_S, BOOT_S) == (1.0, 5.0)
    learned = {"2-1": "1-1"}
    ports = UsbIdentity(learned)
    ports.update({"1-2": BEFORE_BOOT}, (), 0.0)
    ports.update({"2-2": BOOTED}, (), 1.0)
    assert (learned, ports.pairs, ports.port_of) == ({"2-1": "1-1"}, {"2-1": "1-1", "2-2": "1-2"}, {"1-2": "2-2"})
    assert (UsbIdentity().pairs, UsbIdentity().port_of, UsbIdentity().renamed) == ({}, {}, [])


def test_sticks_are_found_in_the_order_of_their_ports_those_that_wait_for_their_boot_first() -> None:
    seen = {"2-9": BOOTED, "1-2": BEFORE_BOOT, "2-8": BOOTED, "1-1": BEFORE_BOOT}
    assert UsbIdentity().update(seen, (), 0.0) == (["1-1", "1-2", "2-8", "2-9"], [])


@pytest.mark.parametrize(("settled", "gone_s"), [((), 5.0), (("1-1",), 1.0)])
def test_a_stick_that_is_away_is_gone_after_its_time_and_not_before(settled: tuple[str, ...], gone_s: float) -> None:
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT}, (), 0.0)
    assert ports.update({}, settled, 10.0) == ([], [])
    assert ports.update({}, settled, 10.0 + gone_s - 0.001) == ([], [])
    assert ports.update({}, settled, 10.0 + gone_s) == ([], ["1-1"])
    assert ports.port_of == {}


def test_a_stick_that_was_once_unsettled_while_it_is_away_has_the_longer_time_until_it_is_back() -> None:
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT}, (), 0.0)
    ports.update({}, (), 1.0)
    assert ports.update({}, ("1-1",), 5.9) == ([], [])
    ports.update({"1-1": BEFORE_BOOT}, ("1-1",), 5.95)
    assert ports.update({}, ("1-1",), 7.0) == ([], [])
    assert ports.update({}, ("1-1",), 7.9) == ([], [])
    assert ports.update({}, ("1-1",), 8.0) == ([], ["1-1"])


def test_sticks_that_are_gone_are_listed_in_the_order_in_which_they_were_found() -> None:
    ports = UsbIdentity()
    ports.update({"1-2": BEFORE_BOOT}, (), 0.0)
    ports.update({"1-2": BEFORE_BOOT, "1-1": BEFORE_BOOT}, (), 0.0)
    ports.update({}, (), 1.0)
    assert ports.update({}, (), 6.0) == ([], ["1-2", "1-1"])


def test_of_two_ports_that_were_learned_for_one_home_the_first_is_believed() -> None:
    ports = UsbIdentity({"2-1": "1-1", "3-1": "1-1"})
    assert ports.update({"3-1": BOOTED, "2-1": BOOTED}, (), 0.0) == (["1-1", "3-1"], [])
    assert ports.port_of == {"1-1": "2-1", "3-1": "3-1"}


def test_an_orphan_is_not_learned_however_long_it_stays() -> None:
    ports = UsbIdentity()
    for now_s in (0.0, 1.0, 2.0):
        ports.update({"2-3": BOOTED}, (), now_s)
    assert (ports.port_of, ports.pairs) == ({"2-3": "2-3"}, {})


def test_a_stick_that_waits_at_the_port_of_a_former_orphan_has_its_home_there() -> None:
    ports = UsbIdentity()
    ports.update({"2-3": BOOTED}, (), 0.0)
    ports.update({}, (), 1.0)
    assert ports.update({}, (), 6.0) == ([], ["2-3"])
    assert ports.update({"2-3": BEFORE_BOOT}, (), 7.0) == (["2-3"], [])
    assert ports.update({"2-3": BOOTED}, (), 8.0) == ([], [])
    assert ports.pairs == {"2-3": "2-3"}


def test_a_home_that_was_lent_and_is_gone_raises_no_doubt_any_more() -> None:
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT, "1-2": BEFORE_BOOT}, (), 0.0)
    ports.update({}, (), 1.0)
    ports.update({"2-7": BOOTED}, (), 1.5)
    assert (ports.port_of, ports.pairs) == ({"1-1": "2-7", "1-2": "1-2"}, {})
    ports.update({}, (), 2.0)
    assert ports.update({}, (), 7.0) == ([], ["1-1", "1-2"])
    ports.update({"1-3": BEFORE_BOOT}, (), 8.0)
    ports.update({}, (), 9.0)
    ports.update({"2-9": BOOTED}, (), 9.5)
    assert ports.pairs == {"2-9": "1-3"}


def test_of_sticks_that_are_away_the_one_that_left_first_is_back_first() -> None:
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT, "1-2": BEFORE_BOOT}, (), 0.0)
    ports.update({"1-1": BEFORE_BOOT}, (), 1.0)
    ports.update({}, (), 1.5)
    assert ports.update({"2-8": BOOTED}, (), 2.0) == ([], [])
    assert ports.port_of == {"1-1": "1-1", "1-2": "2-8"}


def test_a_stick_that_is_seen_away_for_the_first_time_left_last() -> None:
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT, "1-2": BEFORE_BOOT}, (), 0.0)
    ports.update({"1-1": BEFORE_BOOT}, (), 1.0)
    assert ports.update({"2-8": BOOTED}, (), 2.0) == ([], [])
    assert ports.port_of == {"1-1": "1-1", "1-2": "2-8"}


def test_an_orphan_with_the_chain_of_the_home_that_shows_is_that_stick_and_the_others_stay() -> None:
    ports = UsbIdentity()
    ports.update({"2-1": BOOTED, "2-2": BOOTED}, (), 0.0)
    assert ports.update({"1-2": BEFORE_BOOT}, (), 1.0) == (["1-2"], ["2-2"])
    assert (ports.renamed, ports.pairs, ports.port_of) == (["2-2"], {"2-2": "1-2"}, {"2-1": "2-1", "1-2": "1-2"})
    assert ports.update({"1-2": BEFORE_BOOT}, (), 1.5) == ([], [])
    assert ports.renamed == []


def test_the_only_orphan_that_is_away_is_the_home_that_shows_whatever_its_chain() -> None:
    ports = UsbIdentity()
    ports.update({"2-7": BOOTED}, (), 0.0)
    assert ports.update({"1-1": BEFORE_BOOT}, (), 1.0) == (["1-1"], ["2-7"])
    assert (ports.renamed, ports.pairs, ports.port_of) == (["2-7"], {"2-7": "1-1"}, {"1-1": "1-1"})


def test_a_stick_that_is_away_and_was_no_orphan_keeps_its_name_when_another_home_shows() -> None:
    ports = UsbIdentity()
    ports.update({"1-1": BEFORE_BOOT}, (), 0.0)
    assert ports.update({"1-2": BEFORE_BOOT}, (), 1.0) == (["1-2"], [])
    assert (ports.renamed, ports.port_of) == ([], {"1-1": "1-1", "1-2": "1-2"})


def test_of_sticks_that_are_away_the_one_with_the_chain_of_the_port_is_back_though_another_left_first() -> None:
    ports = UsbIdentity()
    ports.update(ROM, (), 0.0)
    ports.update({"1-1.2": BEFORE_BOOT}, (), 1.0)
    ports.update({}, (), 1.5)
    assert ports.update({"2-1.2": BOOTED}, (), 2.0) == ([], [])
    assert (ports.port_of, ports.pairs) == ({"1-1.1": "1-1.1", "1-1.2": "2-1.2"}, {"2-1.2": "1-1.2"})


def test_a_lent_home_of_another_chain_raises_no_doubt() -> None:
    ports = UsbIdentity()
    ports.update({**ROM, "1-1.3": BEFORE_BOOT}, (), 0.0)
    ports.update({"1-1.3": BEFORE_BOOT}, (), 1.0)
    ports.update({"1-1.3": BEFORE_BOOT, "2-7": BOOTED}, (), 1.5)
    assert (ports.port_of["1-1.1"], ports.pairs) == ("2-7", {})
    ports.update({"2-7": BOOTED}, (), 2.0)
    ports.update({"2-7": BOOTED, "2-1.3": BOOTED}, (), 2.5)
    assert ports.pairs == {"2-1.3": "1-1.3"}


def test_a_learned_home_is_not_believed_while_another_booted_stick_is_plugged_in_there() -> None:
    ports = UsbIdentity({"2-1": "1-1"})
    assert ports.update({"1-1": BOOTED, "2-1": BOOTED}, (), 0.0) == (["1-1", "2-1"], [])
    assert ports.port_of == {"1-1": "1-1", "2-1": "2-1"}


def test_a_booted_stick_whose_port_is_its_learned_home_is_no_orphan() -> None:
    ports = UsbIdentity({"1-1": "1-1"})
    assert ports.update({"1-1": BOOTED}, (), 0.0) == (["1-1"], [])
    assert ports.update({"1-9": BEFORE_BOOT}, (), 1.0) == (["1-9"], [])


def test_a_stick_that_waits_for_its_boot_is_at_home_whatever_was_learned_of_its_port() -> None:
    ports = UsbIdentity({"2-1": "1-1"})
    assert ports.update({"2-1": BEFORE_BOOT}, (), 0.0) == (["2-1"], [])
    assert ports.update({"2-1": BOOTED, "1-1": BEFORE_BOOT}, (), 1.0) == (["1-1"], [])
    assert (ports.port_of, ports.pairs) == ({"2-1": "2-1", "1-1": "1-1"}, {"2-1": "1-1"})


def test_an_orphan_whose_time_is_over_when_its_home_shows_is_gone_once() -> None:
    ports = UsbIdentity()
    ports.update({"2-7": BOOTED}, (), 0.0)
    ports.update({}, (), 1.0)
    assert ports.update({"1-1": BEFORE_BOOT}, (), 6.0) == (["1-1"], ["2-7"])
