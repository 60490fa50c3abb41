"""Where a film can be cut, by its packets, which are not decoded. Runs on CPython 3.9."""

from __future__ import annotations

from typing import List, NamedTuple

from ncs_cluster.fleet.film_part import FilmPart, divided
from ncs_cluster.sources import _ffmpeg
from ncs_cluster.sources._film import END_READS, Film


class Packets(NamedTuple):
    """One entry for each packet, in the order of the file."""

    times_ms: List[float]
    """When its frame is shown, from the film's start; 0 where the file does not say."""
    is_key: List[bool]


def packets(path: str) -> Packets:
    """None of a file that OpenCV cannot read. Raises SourceError."""
    import cv2

    found = Packets([], [])
    reader = _ffmpeg.film(path, [cv2.CAP_PROP_FORMAT, -1])
    try:
        failed = 0 if reader.isOpened() else END_READS
        while failed < END_READS:
            if not reader.grab():
                # a damaged packet, or the end
                failed += 1
                continue
            failed = 0
            found.times_ms.append(float(reader.get(cv2.CAP_PROP_POS_MSEC)))
            found.is_key.append(bool(reader.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME)))
    finally:
        reader.release()
    return found


def parts(path: str) -> List[FilmPart]:
    """The parts of a film; one where it is short, or cannot be read. Raises SourceError."""
    found = packets(path)
    as_cut = divided(*found)
    if len(as_cut) == 1:
        return as_cut
    film = Film(path)
    try:
        film.rewind()
        seeks = film.seek(max(found.times_ms) / 2)
    except _ffmpeg.Unconverted:
        return divided([], [])
    finally:
        film.release()
    return as_cut if seeks else divided(*found, seeks=False)
