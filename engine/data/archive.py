"""Files from outside: uploads and zip archives, unpacked without trusting a word of them.

Owns the names that are refused; how much is taken stands in core/limits.py. Executes nothing, follows no
link, writes only plain files with the suffixes asked for into the folder it is given.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

from engine.core.errors import EngineError
from engine.core.limits import allow_more, check_time, in_time, limits, megabytes
from engine.data.packed import ENDINGS, PACKED

Upload = Mapping[str, bytes] | Sequence[tuple[str, bytes]]
SUFFIXES = ENDINGS
_CHUNK = 1 << 20
_DIRECTORY_BYTES_A_FILE = 1_000  # of an archive's table of contents
_LOCAL_HEADER_BYTES = 30
_PACK_AGAIN = "Pack the folder again with an ordinary zip program."
# Names that Windows keeps for its devices: a workspace may be copied there.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


UPLOAD: Final = "upload of "
"""What a source begins with that was uploaded: its files lie nowhere on this machine."""


def named(files: Upload) -> str:
    """Return a label of an upload: the names of its files, in order."""
    return UPLOAD + ", ".join(sorted(name for name, _ in _pairs(files)))


def _pairs(files: Upload) -> list[tuple[str, bytes]]:
    return list(files.items() if isinstance(files, Mapping) else files)


@in_time()
def unpack_upload(
    files: Upload, folder: Path, *, suffixes: tuple[str, ...] = SUFFIXES, command: str = "init --dataset PATH"
) -> None:
    """Write uploaded files (names with contents) into `folder`; a single zip is unpacked.

    Only files with one of the `suffixes` are taken. Raises EngineError for too much data (naming `command`,
    which takes as much as the disk), for two files of one name, for names that are no plain file names and
    for a bad zip.
    """
    pairs = _pairs(files)
    if not pairs:
        raise EngineError("No file was uploaded.", f"Choose {' or '.join(suffixes)} files, or one .zip.")
    total, allowed = sum(len(content) for _, content in pairs), limits()
    if total > allowed.upload_bytes or len(pairs) > allowed.files:
        raise EngineError(
            f"The upload is too large: {len(pairs):,} files, {megabytes(total)}"
            f" (at most {allowed.files:,} files, {megabytes(allowed.upload_bytes)}).",
            f"Import it from the command line: python -m engine {command}",
        )
    for name, _ in pairs:
        _check_upload_name(name, alone=len(pairs) == 1, suffixes=suffixes)
    _refuse_twice([name for name, _ in pairs])
    for name, content in pairs:
        if name.lower().endswith(".zip"):
            unpack_zip(io.BytesIO(content), folder, name=name, suffixes=suffixes)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def _refuse_twice(names: Sequence[str]) -> None:
    """Raise EngineError where two files have one name: a browser tells no folders, and one would be lost."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise EngineError(
            f"Several files are named {', '.join(twice[:5])}.",
            "Rename them, or upload one .zip of their folder: it keeps them apart.",
        )


def _check_upload_name(name: str, *, alone: bool, suffixes: tuple[str, ...]) -> None:
    if _unsafe(name) or PurePosixPath(name).name != name:
        raise EngineError(
            f"{name[:100]!r} is not a plain file name.", "Rename the file, then upload it again."
        )
    if wrong := _awkward(name):
        raise EngineError(f"{name[:100]!r} {wrong}.", "Rename the file, then upload it again.")
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".zip" and not alone:
        raise EngineError(
            f"{name} comes with other files.", f"Upload one .zip alone, or the {suffixes[0]} files."
        )
    if suffix not in (*suffixes, ".zip"):
        wanted = f"{', '.join(suffixes)} or .zip"
        raise EngineError(f"{name} is not a {wanted} file.", "Convert it, then upload it again.")


@in_time()
def unpack_zip(packed: IO[bytes], folder: Path, *, name: str, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Unpack the files with one of the `suffixes` of an archive into the new folder `folder`.

    Raises EngineError, before anything of the archive counts, for a damaged archive, an entry that is
    a link, encrypted, absolute or leads out of the folder, and for one that expands too far.
    """
    folder.mkdir(parents=True)
    try:
        with _opened(packed, name) as archive:
            entries = _safe_entries(archive, name, suffixes)
            if not entries:
                raise _nothing_in(name, archive.namelist(), suffixes)
            allowed = _allowed_bytes(packed)
            for entry in entries:
                allowed -= _unpack_entry(archive, entry, folder, allowed=allowed)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error) as error:
        raise EngineError(f"{name} is not a zip archive that can be read: {error}", _PACK_AGAIN) from error


class _Guarded:
    """An archive's file, for zipfile: it would read any table of contents at once, however large."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        most = limits().files * _DIRECTORY_BYTES_A_FILE
        if size > max(most, _CHUNK):
            raise EngineError(
                f"{self._name} was refused: its table of contents takes {megabytes(size)}"
                f" (at most {limits().files:,} files, {megabytes(most)}).",
                _PACK_AGAIN,
            )
        return self._file.read(size)


def _nothing_in(name: str, held: Sequence[str], suffixes: tuple[str, ...]) -> EngineError:
    names = [one for one in held if not one.endswith("/")]
    listed = ", ".join(one[:60] for one in names[:8]) + (", ..." if len(names) > 8 else "")
    packed = next((one for one in names if one.lower().endswith(PACKED)), "")
    remedy = f"Unpack or convert {packed[:60]} first: what is packed within an archive is not opened."
    wanted = f"What is read: {', '.join(suffixes)}."
    return EngineError(
        f"{name} holds no file of data ({listed or 'it is empty'}).", remedy if packed else wanted
    )


def _opened(packed: IO[bytes], name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(cast(Any, _Guarded(packed, name)))
    except OSError as error:  # a directory at an impossible place of the file
        raise zipfile.BadZipFile(error.strerror or str(error)) from error


def _allowed_bytes(packed: IO[bytes]) -> int:
    size, allowed = packed.seek(0, io.SEEK_END), limits()
    return min(allowed.unpacked_bytes, max(allowed.free_expansion_bytes, size * allowed.expansion))


def _safe_entries(archive: zipfile.ZipFile, name: str, suffixes: tuple[str, ...]) -> list[zipfile.ZipInfo]:
    """Return the entries worth unpacking. One unsafe entry makes the whole archive refused."""
    entries, allowed = archive.infolist(), limits()
    if len(entries) > allowed.files:
        raise EngineError(f"{name} holds {len(entries):,} files (at most {allowed.files:,}).", _PACK_AGAIN)
    for entry in entries:
        if _unsafe(entry.filename) or _unsafe(entry.orig_filename):
            what = f"the entry {entry.filename[:100]!r} leads out of the archive"
            raise EngineError(f"{name} was refused: {what}.", _PACK_AGAIN)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "no ordinary file"
            raise EngineError(f"{name} was refused: the entry {entry.filename!r} is {what}.", _PACK_AGAIN)
    wanted = [entry for entry in entries if _wanted(entry, suffixes)]
    for entry in wanted:
        if wrong := _awkward(entry.filename):
            raise EngineError(f"{name} was refused: the entry {entry.filename[:100]!r} {wrong}.", _PACK_AGAIN)
    _refuse_overlaps(entries, name)
    return wanted


def _refuse_overlaps(entries: Sequence[zipfile.ZipInfo], name: str) -> None:
    """Raise EngineError where entries share their packed bytes, which is how archives swell most."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for one, following in pairwise(ordered):
        if following.header_offset < one.header_offset + _LOCAL_HEADER_BYTES + one.compress_size:
            what = f"the entries {one.filename!r} and {following.filename!r} overlap"
            raise EngineError(f"{name} was refused: {what}.", _PACK_AGAIN)


def _wanted(entry: zipfile.ZipInfo, suffixes: tuple[str, ...]) -> bool:
    parts = PurePosixPath(entry.filename).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not entry.is_dir() and not hidden and entry.filename.lower().endswith(suffixes)


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, *, allowed: int) -> int:
    """Write one entry; return its size, as counted (what the archive says of itself proves nothing)."""
    if entry.flag_bits & 0x1:
        raise EngineError(f"{entry.filename} is encrypted.", "Pack the folder again without a password.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise EngineError(f"{entry.filename} is packed in an unusual way.", _PACK_AGAIN)
    target = folder / PurePosixPath(entry.filename)
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise EngineError(f"The archive holds {entry.filename!r} twice.", _PACK_AGAIN) from error
    with file, _source(archive, entry) as source:
        while chunk := source.read(_CHUNK):
            check_time()
            written += len(chunk)
            if written > allowed:
                raise EngineError(
                    f"The archive was refused: it expands to more than {limits().expansion} times its size"
                    f" or {megabytes(limits().unpacked_bytes)}.",
                    "Unpack it yourself if you trust it, then name the folder; or allow more: "
                    + allow_more("unpacked_bytes"),
                )
            file.write(chunk)
    return written


def _source(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(entry)
    except OSError as error:  # an entry at an impossible place of the file
        raise zipfile.BadZipFile(error.strerror or str(error)) from error


def _unsafe(name: str) -> bool:
    """Tell whether a name is absolute, climbs, names a drive or holds a control character."""
    slashed = name.replace("\\", "/")
    climbs = ".." in slashed.split("/")
    odd = re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", name)
    return not name or slashed.startswith("/") or climbs or bool(re.match(r"[A-Za-z]:", name)) or bool(odd)


def _awkward(name: str) -> str | None:
    """Return what keeps a name from being a file's on every system, None for nothing."""
    parts, allowed = PurePosixPath(name).parts, limits()
    if any(len(part.encode()) > allowed.name_bytes for part in parts):
        return f"is longer than {allowed.name_bytes} bytes"
    if len(parts) > allowed.depth:
        return f"lies {len(parts)} folders deep (at most {allowed.depth})"
    if any(_RESERVED.fullmatch(part) or part[-1] in ". " for part in parts):
        return "is no file name on Windows"
    return None
