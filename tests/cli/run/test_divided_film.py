"""A divided film: which of its parts are done in another way, and from where a later command goes on."""

from __future__ import annotations

from msgspec.structs import replace

from ncs_cluster.cli.run import divided_film
from ncs_cluster.cli.run.divided_film import DividedFilm, place_of
from ncs_cluster.fleet import film_part
from ncs_cluster.fleet.film_part import Edge, Edges, FilmPart
from ncs_cluster.jobs.ledger import Ledger, Root

PARTS = film_part.divided([number * 40.0 for number in range(3000)], [number % 10 == 0 for number in range(3000)])


def book() -> Ledger:
    made = Ledger(":memory:", create=True)
    made.begin({}, [Root("/nowhere", "", confined=True)], [(0, b"a.jpg"), (0, b"b.mp4")], ["jsonl"])
    made.film_begins(1, 1)
    return made


def edge(number: int) -> Edge:
    return Edge(number, number * 40.0, 0, "one", "ab" * 32)


def done(part: FilmPart) -> Edges:
    """Of a part that was done as it should."""
    behind = part.first + part.frames
    return Edges(None if part.begin_ms is None else edge(part.first), edge(behind) if behind < 3000 else None)


def test_parts_that_join_are_done_once_each() -> None:
    film = DividedFilm(book(), 1, PARTS)
    for number, part in enumerate(PARTS):
        assert film.names(number) == [f"1-p{number}"]
        assert film.part(number) == part
        edges = done(part)
        assert film.fits(edges)
        film.written(part.frames, edges.end, over=edges.end is None)
    assert film.over
    assert not film.has(0)


def test_a_part_whose_data_are_damaged_is_decoded_from_the_start_and_the_next_ones_are_not() -> None:
    film = DividedFilm(book(), 1, PARTS)
    film.written(300, done(PARTS[0]).end, over=False)
    assert not film.fits(replace(done(PARTS[1]), damaged=True))
    assert film.names(1) == ["1-p1", "1-n1", "1-x1"]
    again = film.part(1)
    assert again == replace(PARTS[1], begin_ms=None)
    assert film.fits(done(again))
    film.written(300, done(again).end, over=False)
    assert film.names(2) == ["1-p2"]
    assert film.fits(done(PARTS[2]))


def test_a_film_whose_parts_do_not_join_again_and_again_is_left_to_one_host() -> None:
    film = DividedFilm(book(), 1, PARTS)
    film.written(300, done(PARTS[0]).end, over=False)
    for number in range(1, film_part.FROM_START + 1):
        assert film.has(number + 1)
        assert not film.fits(replace(done(PARTS[number]), begin=edge(number * 300 + 1)))
        if number < film_part.FROM_START:
            film.written(300, edge(number * 300 + 300), over=False)
    assert not film.has(film_part.FROM_START + 1)
    assert film.part(film_part.FROM_START) == FilmPart(1200, 1800)


def test_a_later_command_goes_on_with_the_part_that_holds_the_next_frame() -> None:
    ledger = book()
    assert divided_film.kept(ledger, 1) is None
    film = DividedFilm(ledger, 1, PARTS)
    film.keep()
    for part in PARTS[:4]:
        film.written(part.frames, done(part).end, over=False)
    for written, index in ((0, 0), (1, 0), (300, 0), (301, 1), (950, 3), (1500, 4), (2900, 4)):
        ledger.note("jsonl", written, b"")
        found = divided_film.kept(ledger, 1)
        assert found is not None
        assert (found.at.index, found.at.first) == (index, index * 300)
        assert found.at.edge == (None if index == 0 else edge(index * 300))
    film.written(300, edge(1500), over=False)
    found = divided_film.kept(ledger, 1)
    assert found is not None
    assert found._begun == film._begun == [film.at]


def test_names_of_chunks_are_in_the_order_of_their_places() -> None:
    names = ["2", "7", "7-p0", "7-n3", "7-x12", "8-1", "8-p1"]
    assert sorted(map(place_of, names)) == list(map(place_of, names))
    assert place_of("strange-p") == (-1, -1)
