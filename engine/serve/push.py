"""A variant's exported folder on the Hugging Face Hub: what goes out, to whom, and how it gets there.

Owns the repository (private unless asked otherwise, never a public one by accident) and the one commit that
brings the folder. The token is the machine's own; it is neither shown nor kept.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.core.base_folder import local_base
from engine.core.base_identity import base_of
from engine.core.errors import EngineError
from engine.core.keyring import key_of
from engine.core.paths import Workspace
from engine.core.secrecy import hide
from engine.core.wording import count
from engine.serve.zipped import exported

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REPOSITORY: Final = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_OURS: Final = ("adapters/", "merged/")
"""Folders of an exported variant: what an earlier push left there and this one lacks is removed."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A repository of a hub as this machine's token sees it."""

    repository: str
    endpoint: str
    account: str
    private: bool
    earlier: tuple[str, ...] | None
    """The files that are there; None where the repository is to be made."""

    @property
    def address(self) -> str:
        return f"{self.endpoint}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out: each file of a folder, as it will be named, with its bytes."""

    folder: Path
    files: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.files)

    def parts(self) -> list[tuple[str, int, int]]:
        """Return what lies at the top of the folder: its name, how many files it is, and their bytes."""
        found: dict[str, list[int]] = {}
        for name, size in self.files:
            top, inside, _ = name.partition("/")
            found.setdefault(f"{top}/" if inside else top, []).append(size)
        return [(name, len(sizes), sum(sizes)) for name, sizes in found.items()]


HOLDS: Final = (
    "It names personas by id. prompts.jsonl holds what their prompts show of them, and an adapter can repeat "
    "what it was trained on."
)
"""What is to be known of any parcel before it goes."""


def packed(ws: Workspace, name: str, place: str, *, merged: str | None = None, gguf: bool = False) -> Parcel:
    """Export a variant into a new folder within `place`, ready to go out. Loads no model here."""
    whole = ("--merged", merged) if merged is not None else ()
    folder = Path(place) / "out"
    exported(ws, name, folder, *whole, *(("--gguf",) if gguf else ()))
    return parcel(folder, base=base_of(ws).name)


def parcel(folder: Path, *, base: str) -> Parcel:
    """Return what of an exported folder goes out: every file in it.

    Side effect: where the base is a folder of this machine, its files name it by its last name alone.
    """
    local = local_base(base)
    for path in folder.rglob("*") if local is not None else ():
        if path.suffix in (".json", ".md"):
            text = path.read_text(encoding="utf-8")
            name = base.rstrip("/").rpartition("/")[2]
            plain = text.replace(str(local), name).replace(json.dumps(str(local))[1:-1], name)
            if plain != text:
                path.write_text(plain, encoding="utf-8")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return Parcel(folder, tuple((path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths))


def destination(repository: str, *, public: bool = False, endpoint: str | None = None) -> Destination:
    """Ask the hub for a repository; nothing is made or sent. `endpoint` is by default the library's own.

    Raises EngineError for a name that is none, without a token, where the token is not taken, and for a
    public repository where a private one was meant.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    if not _REPOSITORY.fullmatch(repository):
        raise EngineError(f"{repository!r} is no repository of the hub.", "Give OWNER/NAME.")
    with _told(repository):
        api = _api(endpoint)
        account = str(api.whoami()["name"])
        try:
            found = api.model_info(repository, timeout=30)
        except RepositoryNotFoundError:
            return Destination(repository, api.endpoint, account, not public, None)
    if not found.private and not public:
        raise EngineError(
            f"{repository} is there, and everybody can read it.", "Add --public, or name another repository."
        )
    files = tuple(one.rfilename for one in found.siblings or ())
    return Destination(repository, api.endpoint, account, bool(found.private), files)


def push(to: Destination, sent: Parcel, *, message: str) -> str:
    """Send a parcel in one commit, making the repository where there is none; return the commit's address."""
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    names = {name for name, _ in sent.files}
    gone = [name for name in to.earlier or () if name.startswith(_OURS) and name not in names]
    operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        *(CommitOperationDelete(name) for name in gone),
        *(CommitOperationAdd(name, str(sent.folder / name)) for name in sorted(names)),
    ]
    with _told(to.repository):
        api = _api(to.endpoint)
        if to.earlier is None:
            api.create_repo(to.repository, private=to.private)
        return str(api.create_commit(to.repository, operations, commit_message=message).commit_url)


def words_of(to: Destination) -> str:
    """Say where a parcel goes: the address, who can read it there, and whether it is new."""
    seen = "private" if to.private else "public: everybody can read it"
    state = "new" if to.earlier is None else f"there, with {count(len(to.earlier), 'file')}"
    return f"{to.address} ({seen}; {state}), as {to.account}"


def _api(endpoint: str | None) -> "HfApi":
    from huggingface_hub import HfApi, get_token

    token = key_of("HF_TOKEN") or get_token()
    if not token:
        raise EngineError(
            "This machine has no token of the Hub.",
            "Make one that may write (https://huggingface.co/settings/tokens), then: hf auth login, or set "
            "HF_TOKEN.",
        )
    hide(token)
    return HfApi(endpoint=endpoint, token=token)


@contextmanager
def _told(repository: str) -> Iterator[None]:
    """Say what the hub refuses with the remedy."""
    import httpx2  # the hub library's HTTP client; it lets some of its errors through
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise EngineError(f"{repository!r} is no repository of the hub.", str(error)) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            raise EngineError(
                f"The Hub does not let this machine's token write to {repository}.",
                "Give it a token with write access to that account: hf auth login, or HF_TOKEN.",
            ) from None
        raise EngineError(f"The Hub refused: {_words(error)}", "Try again later.") from None
    except (OSError, ValueError, RuntimeError, httpx2.HTTPError) as error:
        raise EngineError(
            f"It did not reach {repository}: {_words(error)}",
            "Check the connection, and push again: what is there already is not sent twice.",
        ) from None


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
