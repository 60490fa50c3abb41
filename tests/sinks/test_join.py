"""The outputs of the parts of a job, joined, are byte for byte those of the whole job."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncs_cluster.jobs import layout
from ncs_cluster.sinks import _final, yolo
from ncs_cluster.sinks.base import Part, Unjoinable
from tests.hypothesis_profiles import examples
from tests.sinks import onejob
from tests.sinks.divided_job import Item, part, records
from tests.sinks.onejob import FORMS, NAMES, takes_features

ITEMS = [
    *[Item(name) for name in NAMES[:3]],
    Item("film.avi", 5, frozenset({1, 4})),
    Item("torn.png", failed=frozenset({0})),
    Item("a.png"),
    Item("no.avi", 1, unopened=True),
    Item("all.avi", 3, frozenset({0, 1, 2})),
    Item("x/film.avi", 4, crashed=frozenset({2})),
    Item("x/film.avi", 2),
    Item("x/film.avi", 2),
    *[Item(name) for name in NAMES[3:]],
    Item("a/b.txt/c.jpg"),
    Item("a/b.jpg"),
    Item("a.jpg"),
    Item("lost.png", crashed=frozenset({0})),
    Item("/no/inside.jpg"),
    Item("last.avi", 7),
]


def joined(kind: str, folder: Path, items: list[Item], parts: int, *, features: bool = False, size: int = 0) -> dict[str, bytes]:
    """The files that are made of those of the parts; `size`: that of the parts' numbered files."""
    made = []
    options = {"shard_size": size} if size else {}
    for number in range(parts):
        place = folder / f"part-{number}"
        ledger, own = part(place, items, number, parts, features=features)
        onejob.whole(kind, place, own, **options)
        made.append(Part(str(place), onejob.job(kind, place, **options), ledger))
    out = folder / "joined"
    out.mkdir()
    onejob.job(kind, out).join(made, layout.order([each.ledger for each in made]))
    for each in made:
        each.ledger.close()
    return onejob.files(out)


def whole(kind: str, folder: Path, items: list[Item], *, features: bool = False) -> dict[str, bytes]:
    found = onejob.whole(kind, folder / "whole", [record for _, record in records(items, features=features)])
    return {name: text for name, text in found.items() if not name.startswith(".parts")}


@pytest.fixture(autouse=True)
def without_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    for module in (_final, yolo):
        monkeypatch.setattr(module, "sync_file_system", lambda folder: None)


DIVISIONS = [
    (kind, parts, size)
    for kind in FORMS
    for parts, size in [(1, 0), (1, 4), (2, 0), (5, 3), (40, 0)]
    # yolo has a label file for each picture, and so no numbered files
    if not (kind == "yolo" and size)
]


@pytest.mark.parametrize(("kind", "parts", "size"), DIVISIONS)
def test_joined_outputs_are_those_of_the_whole_job(tmp_path: Path, kind: str, parts: int, size: int) -> None:
    for features in {kind in ("hdf5", "npy"), takes_features(kind)}:
        folder = tmp_path / str(features)
        assert joined(kind, folder, ITEMS, parts, features=features, size=size) == whole(kind, folder, ITEMS, features=features)


names = st.sampled_from(["a.jpg", "a.png", "a", "a.txt", "b/a.jpg", "f.avi", "g.avi"])
lengths = st.one_of(st.none(), st.integers(1, 4))
numbers = st.frozensets(st.integers(0, 3), max_size=3)
made_items = st.lists(
    st.one_of(
        st.builds(Item, names, lengths, numbers, st.just(False), numbers),
        st.builds(Item, names, st.just(1), unopened=st.just(True)),
    ),
    max_size=8,
)


@pytest.mark.parametrize("kind", [kind for kind in FORMS if kind not in ("hdf5", "parquet")])
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(items=made_items, parts=st.integers(1, 4), size=st.sampled_from([0, 1, 3]))
def test_whatever_the_items_are_and_however_they_are_divided(
    tmp_path_factory: pytest.TempPathFactory, kind: str, items: list[Item], parts: int, size: int
) -> None:
    folder = tmp_path_factory.mktemp("job")
    features, size = kind == "npy", 0 if kind == "yolo" else size
    assert joined(kind, folder, items, parts, features=features, size=size) == whole(kind, folder, items, features=features)


def damage(path: Path, old: bytes, new: bytes) -> None:
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "why"),
    [
        ("jsonl", "results.jsonl", b'"frame":3,', b'"frame":2,', "frame 2 stands where frame 3 should"),
        ("jsonl", "results.jsonl", b'{"schema":1', b'"schema":1', "Expected `object`"),
        ("csv", "results.csv", b"frame,item", b"frame;item", "its first line is not the names of its columns"),
        ("csv", "results.csv", b"\r\n2,", b"\r\ntwo,", "invalid literal"),
        ("coco", "results_images.json", b"]}\n", b"", "its end is missing"),
        ("coco", "results.coco", b'"image_id":0', b'"image_id":99', "a result is of no image"),
        ("megadetector", "results.megadetector", b"film.avi", b"firm.avi", "firm.avi stands where another item should"),
        ("coco", "results_images.json", b'{"id":2,', b'{"id":3,', "frame 3 stands where frame 2 should"),
        ("yolo", "failures.jsonl", b'{"frame":4', b'"frame":4', "Expected `object`"),
        ("npy", "results.names.jsonl", b"\n", b"", "malformed"),
    ],
)
def test_outputs_that_were_changed_are_refused_with_what_is_wrong(
    tmp_path: Path, kind: str, name: str, old: bytes, new: bytes, why: str
) -> None:
    place, features = tmp_path / "part", takes_features(kind)
    ledger, own = part(place, ITEMS, 0, 1, features=features)
    onejob.whole(kind, place, own)
    damage(place / name, old, new)
    (tmp_path / "out").mkdir()
    sink = onejob.job(kind, tmp_path / "out")
    with pytest.raises(Unjoinable) as refused:
        sink.join([Part(str(place), onejob.job(kind, place), ledger)], layout.order([ledger]))
    said = str(refused.value)
    assert why in said
    assert str(place) in said
    assert "\n" not in said
    assert not [path for path in (tmp_path / "out").iterdir() if path.name != ".parts"]


@pytest.mark.parametrize("kind", FORMS)
def test_a_file_that_ends_early_is_refused_or_is_no_file(tmp_path: Path, kind: str) -> None:
    """As a copy that was interrupted leaves it: at any place."""
    place, features = tmp_path / "part", takes_features(kind)
    ledger, own = part(place, ITEMS, 0, 1, features=features)
    onejob.whole(kind, place, own)
    path = place / {"yolo": "failures.jsonl", "coco": "results_images.json"}.get(kind, f"results.{kind}")
    text = path.read_bytes()
    for share in (0.0, 0.2, 0.5, 0.9):
        path.write_bytes(text[: int(share * len(text))])
        out = tmp_path / f"out-{share}"
        out.mkdir()
        with pytest.raises((Unjoinable, OSError)) as refused:
            onejob.job(kind, out).join([Part(str(place), onejob.job(kind, place), ledger)], layout.order([ledger]))
        assert "\n" not in str(refused.value)
        assert not [path for path in out.iterdir() if path.name != ".parts"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "npy"])
def test_joined_rows_are_renamed_not_copied_though_some_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """No retry is to come, and the results may be as large as the disk has room for."""
    expected = whole(kind, tmp_path, ITEMS)
    place = tmp_path / "part"
    ledger, own = part(place, ITEMS, 0, 1)
    onejob.whole(kind, place, own)
    (tmp_path / "joined").mkdir()
    monkeypatch.setattr(shutil, "copyfile", lambda *_: pytest.fail("copied"))
    onejob.job(kind, tmp_path / "joined").join([Part(str(place), onejob.job(kind, place), ledger)], layout.order([ledger]))
    assert onejob.files(tmp_path / "joined") == expected
