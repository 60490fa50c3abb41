"""Names in topics: each text has a word of its own, whatever its letters."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.sinks._mqtt_names import entity, word, words


def test_letters_that_topics_and_ids_allow_stay() -> None:
    given_ = ["door", "sim-1", "traffic light", "ncs-1-1.2", "cam_0"]
    assert [word(text) for text in given_] == ["door", "sim-1", "traffic_light", "ncs-1-1_2", "cam_0"]


def test_ids_of_entities_are_in_lower_case_with_single_underscores() -> None:
    assert entity("ncs_cluster_Pi-4_stick_ncs-1-1_2") == "ncs_cluster_pi_4_stick_ncs_1_1_2"


@given(st.lists(st.text(max_size=80), unique=True, max_size=12))
def test_each_text_has_a_word_of_its_own_that_fits_a_topic(texts: list[str]) -> None:
    found = words(texts)
    assert list(found) == texts
    assert len({made.lower() for made in found.values()}) == len(texts)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", made) for made in found.values())


@given(st.lists(st.text(alphabet="aA ./", min_size=1, max_size=3), unique=True, max_size=8))
def test_a_word_does_not_depend_on_the_order_of_the_texts(texts: list[str]) -> None:
    assert words(sorted(texts)) == words(texts)
