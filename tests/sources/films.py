"""Films that are made byte by byte: interlaced, and with damaged frames."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import cv2

DECODES = "avfilter" in Path("/proc/self/maps").read_text() or cv2.__version__ < "4.13"
"""OpenCV decodes interlaced video: before 4.13 itself, since then through FFmpeg's filters, which its headless builds lack."""
# eight key frames of MPEG-2, 64x48, each of one grey; each frame says that it is interlaced
INTERLACED = (
    "eNqV0q0KwlAYxvH37LxBLCKKGGViWBC8hAUFWVz0DoyCxY8gJsEgypLZBbMKRi/F6qkWsRz3EQw+b3Btv8OB/x5GpE5Mnaa19zqRulSXpCh51JUK5FP6UrKv9GRj"
    "n9mBqsx30aEXe/11EG5rUew2EnWgaqgMVc64CRkGZhiYYWCG+SNDCWtMivnlthd0B2G0WmQZSDVUhipnCGuMjvnlc+yVh0HoZhUANUJGKCY4whKt75Lpp/hZAkCN"
    "kBHKCcIK4wdYAaBGyAjFBC2sMN2j/wGphspQ5QxhidkbZSDVUPlXP0eHLhw="
)

# fourteen frames of H.264, 64x48, each of one grey; B-frames refer to each other, so that the decoder holds two frames back
REORDERED = (
    "eNqtVE1sG0UUHttNFUWhJCiFCII0KTkm9u7aSVtLK3DSiEgUqRKiCIq0zM6OvVvvz2R2ktgFQSoVxIUriBzCCQVEJeDEqWoluBSERE8QxIEKhFpVbcMF9UBt"
    "3qydeBNCT6x2Zr43731v3pv3dhFCuCqb3IujAKEsUisMgyxTPeAlHaHcpSCKlhFCfrDsOmjXk7sBHA1lkHp7T2a31V75GfTAJwt+B6UgdcCvynpyZu7f3uBc"
    "9OBz9j1XTR3mBHNkDOsY82PZYyi/B7rc7IXA8QgAHDh7czcUFb34TSJMuY4vtjXLnsPSlqdBjhZI6PhM2WQLgRdWAYwsB4nTdJgTTkc35ghWTaUxuCR83MGZ"
    "u7G0fcCXYxk7KZvPVdH+4ypU4hpagHVh22LwJNhj37Mbxkxpv0KMttswT4PVXMZBA+3raLQG68XNE69nhlRN1JTDfx55+bUMOuje+u27I1fu37unqEOcxLwb"
    "hhojthTdOy7+2BloNJbJ/W+HeygpPdhCWul9NVZpz/ZQZ+9AVz+Adss7dfyf9Mn+GMRE98TUjQOdBN251LWpPH6A9RFVttR4osvZlh/fR4bcadQ7J3cbVnPJ"
    "kaoHpwOWrOoZT/cb9KggnPvp2vV7naburwoGzZj7NHAIyNnPDva12xu/zN+89MfmwlfvT/6EN5+6c1d1AJ7CNBIM6wBFUTs+jW3CWEnTQLGQB4PC86fmn50q"
    "4crpObB0GAXFXMSbPqtKbGhaccrQDAM2XSl5uVBYWVnJq08h8kmYj0StoE7JuzLwwSbi0ovCuIwpsQk1dQztbhaxw2w/onVTL2tlDZOQ+M2YmVqjWNYaul7E"
    "ATNd1sDxkg3oKOZxE6gwW8Ix9bwGJJhw4DWYYymPOjAsQcIaM/UZTF0RBcQCqo6lYL7vxYCONY45VAKgi4GpQQjEOReFzDT0SV3HVRJLi8d1jyuLjoNFbkXV"
    "asykOWVg6QpgKEd+FNWJC4LV24t9j7LehoZDkZxBvYBIFYcXSiZ8Akawb/tLgjQtGgWcSJApXBH8Cb0QXIChIMqmKkjAYrgs2+JNwJ5jGoCJQ7ji2JbtEXUS"
    "dAVL8lphXs2VNqCIs9CqRRy0nU0O1Dprgm9TL3WRBb8nFTllIaNLymVytLpPwWIXZEGtnVwVT1CTiioO4CNnKicQTKOY1/CiysTU8jMAuXKbrKRhzhwHEEvG"
    "zRL2OFQIugEKWIKaL0LxVSnRKrTvk+zdC+hou/XXVqtvZvLEqQ+Gv7/xxn3U91L95+u/f6g+oMraBP31zdz5h9qtjTvq595fWZ9tvN0eVn/C/sw6kbOXR77o"
    "YHoW8JeAH6usuc99Mjv0yvjW05mrua0xNP5Ra/3v86AaqKy/Mz88Wdhx8LHskgBvnO06e7SydlE5OKMcXAMHq+Nvtd77usP/dv5win8zFcCtFP/2Nj878fCV"
    "1ezhdqv8wj+NrqoY"
)


def reordered(path: Path) -> str:
    path.write_bytes(zlib.decompress(base64.b64decode(REORDERED)))
    return str(path)


def interlaced(path: Path, progressive: tuple[int, ...] = ()) -> str:
    """A film whose frame n has the brightness `grey(n)`; the frames of these numbers are not interlaced (ISO 13818-2, 6.2.3.1)."""
    data, at = bytearray(zlib.decompress(base64.b64decode(INTERLACED))), 0
    for n in range(8):
        at = data.index(b"\0\0\1\xb5\x8f", at + 1)
        if n in progressive:
            data[at + 8] |= 0x80
    path.write_bytes(data)
    return str(path)


def grey(n: int) -> float:
    return 24.5 + 25.5 * n


def damage(path: str | Path, *frames: int) -> None:
    """Overwrite these frames of an AVI file (chunk 00dc, size, content) by zeros."""
    data = bytearray(Path(path).read_bytes())
    at = data.index(b"movi")
    for number in range(max(frames) + 1):
        at = data.index(b"00dc", at + 4)
        if number in frames:
            size = struct.unpack_from("<I", data, at + 4)[0]
            data[at + 8 : at + 8 + size] = bytes(size)
    Path(path).write_bytes(data)


def damage_mp4(path: str | Path, number: int) -> None:
    """Overwrite one frame, by its place in the file, of an MP4 file with one track (ISO 14496-12, 8.7.3 and 8.7.5: stsz, stco)."""
    data = bytearray(Path(path).read_bytes())
    at = data.index(b"stsz")
    sizes = struct.unpack_from(f">{struct.unpack_from('>I', data, at + 12)[0]}I", data, at + 16)
    begin = struct.unpack_from(">I", data, data.index(b"stco") + 12)[0] + sum(sizes[:number])
    data[begin : begin + sizes[number]] = b"\xff" * sizes[number]
    Path(path).write_bytes(data)
