"""Files from outside: uploads and zip archives, unpacked without trusting a word of them.

Owns the limits on size and the names that are refused. Executes nothing, follows no link, writes only
plain .json and .jsonl files into the folder it is given.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from engine.core.errors import EngineError

MAX_UPLOAD_BYTES = 200_000_000
MAX_FILES = 1_000
MAX_UNPACKED_BYTES = 1_000_000_000
MAX_EXPANSION = 200
# Below this an archive may expand as it likes: repetitive text packs well, and it is little.
FREE_EXPANSION_BYTES = 20_000_000
SUFFIXES = (".jsonl", ".json")
_CHUNK = 1 << 20
_PACK_AGAIN = "Pack the folder again with an ordinary zip program."


def unpack_upload(
    files: Mapping[str, bytes],
    folder: Path,
    *,
    suffixes: tuple[str, ...] = SUFFIXES,
    command: str = "init --dataset PATH",
) -> None:
    """Write uploaded files (name -> content) into `folder`; a single zip is unpacked.

    Only files with one of the `suffixes` are taken. Raises EngineError for too much data (naming `command`,
    which takes as much as the disk), for names that are no plain file names and for a bad zip.
    """
    if not files:
        raise EngineError("No file was uploaded.", f"Choose {' or '.join(suffixes)} files, or one .zip.")
    total = sum(map(len, files.values()))
    if total > MAX_UPLOAD_BYTES or len(files) > MAX_FILES:
        raise EngineError(
            f"The upload is too large: {len(files)} files, {total / 1e6:.0f} MB"
            f" (at most {MAX_FILES} files, {MAX_UPLOAD_BYTES // 1_000_000} MB).",
            f"Import it from the command line: python -m engine {command}",
        )
    for name in files:
        _check_upload_name(name, alone=len(files) == 1, suffixes=suffixes)
    for name, content in files.items():
        if name.lower().endswith(".zip"):
            unpack_zip(io.BytesIO(content), folder, name=name, suffixes=suffixes)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def _check_upload_name(name: str, *, alone: bool, suffixes: tuple[str, ...]) -> None:
    if _unsafe(name) or PurePosixPath(name).name != name:
        raise EngineError(f"{name!r} is not a plain file name.", "Rename the file, then upload it again.")
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".zip" and not alone:
        raise EngineError(
            f"{name} comes with other files.", f"Upload one .zip alone, or the {suffixes[0]} files."
        )
    if suffix not in (*suffixes, ".zip"):
        wanted = f"{', '.join(suffixes)} or .zip"
        raise EngineError(f"{name} is not a {wanted} file.", "Convert it, then upload it again.")


def unpack_zip(packed: IO[bytes], folder: Path, *, name: str, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Unpack the files with one of the `suffixes` of an archive into the new folder `folder`.

    Raises EngineError, before anything of the archive counts, for a damaged archive, an entry that is
    a link, encrypted, absolute or leads out of the folder, and for one that expands too far.
    """
    folder.mkdir(parents=True)
    try:
        with _opened(packed) as archive:
            entries = _safe_entries(archive, name, suffixes)
            allowed = _allowed_bytes(packed)
            for entry in entries:
                allowed -= _unpack_entry(archive, entry, folder, allowed=allowed)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error) as error:
        raise EngineError(f"{name} is not a zip archive that can be read: {error}", _PACK_AGAIN) from error


def _opened(packed: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(packed)
    except OSError as error:  # a directory at an impossible place of the file
        raise zipfile.BadZipFile(error.strerror or str(error)) from error


def _allowed_bytes(packed: IO[bytes]) -> int:
    size = packed.seek(0, io.SEEK_END)
    return min(MAX_UNPACKED_BYTES, max(FREE_EXPANSION_BYTES, size * MAX_EXPANSION))


def _safe_entries(archive: zipfile.ZipFile, name: str, suffixes: tuple[str, ...]) -> list[zipfile.ZipInfo]:
    """Return the entries worth unpacking. One unsafe entry makes the whole archive refused."""
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise EngineError(f"{name} holds {len(entries)} files (at most {MAX_FILES}).", _PACK_AGAIN)
    for entry in entries:
        if _unsafe(entry.filename) or _unsafe(entry.orig_filename):
            raise EngineError(
                f"{name} was refused: the entry {entry.filename!r} leads out of the archive.",
                _PACK_AGAIN,
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise EngineError(f"{name} was refused: the entry {entry.filename!r} is a link.", _PACK_AGAIN)
    return [entry for entry in entries if _wanted(entry, suffixes)]


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
            written += len(chunk)
            if written > allowed:
                raise EngineError(
                    f"The archive was refused: it expands to more than {MAX_EXPANSION} times its size"
                    f" or {MAX_UNPACKED_BYTES // 1_000_000} MB.",
                    "Unpack it yourself if you trust it, then name the folder.",
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
    odd = re.search(r"[\x00-\x1f\x7f]", name) or len(name.encode("utf-8", "surrogatepass")) > 400
    return not name or slashed.startswith("/") or climbs or bool(re.match(r"[A-Za-z]:", name)) or bool(odd)
