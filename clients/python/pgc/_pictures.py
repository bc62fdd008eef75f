"""Pictures of many kinds as the executable reads them: a path, a URL, or a data: URI."""

from __future__ import annotations

import base64
import os
import struct
import tempfile
import zlib
from typing import Any, Protocol, Tuple, Union, cast


class PillowImage(Protocol):
    """What is used of a PIL.Image.Image."""

    @property
    def mode(self) -> str: ...

    @property
    def size(self) -> Tuple[int, int]: ...

    def tobytes(self) -> bytes: ...


class Array(Protocol):
    """What is used of a numpy array: uint8 [height, width], or [height, width, 1, 3 or 4]."""

    @property
    def shape(self) -> Tuple[int, ...]: ...

    def tobytes(self) -> bytes: ...


Picture = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, PillowImage, Array]
"""A path, a URL, the bytes of a picture's file, a PIL image, or a numpy array of uint8."""

# Pixels of more bytes go through a temporary file, since a data: URI may stand for 64 MiB at most.
_MOST_INLINE = 32 << 20


class Sent:
    """A picture on its way to the executable: its name there, and the file to remove when it was answered."""

    def __init__(self, name: str, temporary: str = "") -> None:
        self.name = name
        self._temporary = temporary

    def done(self) -> None:
        """Removes the temporary file, if there is one."""
        if self._temporary:
            temporary, self._temporary = self._temporary, ""
            try:
                os.unlink(temporary)
            except FileNotFoundError:
                pass


def send(picture: Picture) -> Sent:
    """Returns a picture in a form that the executable reads."""
    if isinstance(picture, str):
        if picture.lower().startswith(("http://", "https://", "data:")):
            return Sent(picture)
        return _path(picture)
    if isinstance(picture, os.PathLike):
        return _path(os.fspath(picture))
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return _inline(bytes(picture))
    if hasattr(picture, "mode") and hasattr(picture, "convert"):
        return _inline(_of_pillow(picture))
    if hasattr(picture, "__array_interface__"):
        return _inline(_of_array(cast(Array, picture), cast(Any, picture).__array_interface__))
    raise TypeError(f"a picture is a {type(picture).__name__}, expected a path, bytes, a PIL image or a numpy array")


def _path(path: str) -> Sent:
    """The executable was started elsewhere, maybe, and reads names as UTF-8."""
    path = os.path.abspath(path)
    try:
        path.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as f:
            return _inline(f.read())
    return Sent(path)


def _inline(data: bytes) -> Sent:
    if len(data) <= _MOST_INLINE:
        return Sent("data:;base64," + base64.b64encode(data).decode("ascii"))
    with tempfile.NamedTemporaryFile(prefix="pgc-", delete=False) as f:
        f.write(data)
    return Sent(f.name, f.name)


def _of_pillow(image: Any) -> bytes:
    """The pixels of a PIL image, turned upright as those of a file are."""
    if image.getexif().get(0x0112, 1) != 1:  # orientation
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode == "RGB":
        return _pnm(b"P6", image.size, image.tobytes())
    if image.mode == "L" and "transparency" not in image.info:
        return _pnm(b"P5", image.size, image.tobytes())
    if image.mode not in ("L", "LA", "P", "RGBA", "I;16"):
        return _of_pillow(image.convert("RGBA" if image.mode in ("PA", "La", "RGBa") else "RGB"))
    import io

    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _of_array(array: Array, interface: Any) -> bytes:
    """The pixels of a numpy array."""
    shape = tuple(array.shape)
    channels = shape[2] if len(shape) == 3 else 1
    if interface["typestr"] != "|u1":
        raise TypeError(
            f"a picture is an array of {interface['typestr']}, expected uint8 (of floats from 0 to 1: (a * 255).astype('uint8'))"
        )
    if len(shape) not in (2, 3) or channels not in (1, 3, 4) or 0 in shape:
        raise ValueError(f"a picture is an array of shape {shape}, expected [height, width] or [height, width, 1, 3 or 4]")
    size, data = (shape[1], shape[0]), array.tobytes()
    if channels == 4:
        return _png(size, data)
    return _pnm(b"P6" if channels == 3 else b"P5", size, data)


def _pnm(kind: bytes, size: Tuple[int, int], data: bytes) -> bytes:
    return b"%s %d %d 255\n" % (kind, size[0], size[1]) + data


def _png(size: Tuple[int, int], rgba: bytes) -> bytes:
    """A PNG of RGBA pixels, without PIL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width, height = size
    rows = b"".join(b"\0" + rgba[y * 4 * width : (y + 1) * 4 * width] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
