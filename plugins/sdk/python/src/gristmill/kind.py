"""What an object is by its first bytes, where it is no text. The host's readers and the Rust SDK know the same kinds."""

from __future__ import annotations

_gz, _zst, _bz2 = (f"let its key end in `.{ending}`, and it is decompressed" for ending in ("gz", "zst", "bz2"))
_other = "compress it with gzip, zstd or bzip2 instead"
_utf8 = "save it as UTF-8"

BEGINNINGS = {
    b"\x1f\x8b": f"gzip: {_gz}",
    b"\x28\xb5\x2f\xfd": f"zstd: {_zst}",
    b"\xfd7zXZ\0": f"xz: {_other}",
    b"\x04\x22\x4d\x18": f"LZ4: {_other}",
    b"\xff\x06\0\0sNaPpY": f"Snappy: {_other}",
    b"PK\x03\x04": "a ZIP archive, as a spreadsheet (.xlsx) is too: unpack it",
    b"PK\x05\x06": "a ZIP archive without files",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"PAR1\x15": "Parquet",
    b"Obj\x01": "Avro",
    b"ARROW1\0\0": "Arrow",
    b"SQLite format 3\0": "a SQLite database",
    b"\x89HDF\r\n": "HDF5",
    b"CDF\x01": "NetCDF",
    b"CDF\x02": "NetCDF",
    b"%PDF-": "PDF",
    b"<?xml": "XML",
    b"\xff\xfe\0\0": f"text in UTF-32: {_utf8}",
    b"\0\0\xfe\xff": f"text in UTF-32: {_utf8}",
    b"\xff\xfe": f"text in UTF-16: {_utf8}",
    b"\xfe\xff": f"text in UTF-16: {_utf8}",
}
"""Kinds with a fixed beginning, none of which a text has, and what to do about them."""

LOOK = 64
"""How many bytes are looked at."""


def foreign(start: bytes) -> str | None:
    """A kind that is no text in UTF-8, and what to do about it; none where nothing speaks against a text."""
    for beginning, kind in BEGINNINGS.items():
        if start.startswith(beginning):
            return kind
    if start.startswith(b"BZh") and start[4:10] == b"1AY&SY":
        return f"bzip2: {_bz2}"
    if start.lstrip(b" \t\n\x0c\r").lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    # Without a byte order mark UTF-16 shows by the zeros beside its first letters.
    if len(start) >= 4 and [byte == 0 for byte in start[:4]] in ([False, True, False, True], [True, False, True, False]):
        return f"text in UTF-16: {_utf8}"
    return None
