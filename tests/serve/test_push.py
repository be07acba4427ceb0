"""A variant sent to a hub: a real server of its API, the real client, and plain PEFT at the other end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, snapshot_download
from peft import PeftModel
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForCausalLM

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace
from engine.data.dataset import load_dataset
from engine.serve.push import Parcel, destination, parcel
from engine.serve.push import push as push_to
from engine.strategies.plan import plan
from pages.shared import frame
from tests.serve import hub_server
from tests.serve.hub_server import ACCOUNT, TOKEN, Hub, Repository
from tests.serve.test_export import expected, prompts, said, variant
from tests.tiny_base import prepare_study
from tests.workspaces import leave

HOME = f"{ACCOUNT}/adapters"


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_study(tmp_path_factory.mktemp("pushed") / "study", tiny_base)
    leave(ws, plan(ws, "per-persona", {"examples_per_persona": 1, "epochs": 1, "learning_rate": 0.05}))
    return ws


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server.running() as hub:
        yield hub


def push(ws: Workspace, hub: Hub, home: Path, *words: str) -> tuple[int, str, str]:
    """Push in a process of its own, for the hub's library reads its surroundings once."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_HOME": str(home), "HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-m", "engine", "push", *words, "--workspace", str(ws.root)],
        cwd=REPOSITORY,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_what_goes_out_is_said_sent_once_allowed_and_works_where_it_arrives(
    ws: Workspace, hub: Hub, tmp_path: Path, tiny_base: Path
) -> None:
    rc, _, told = push(ws, hub, tmp_path, "per-persona", HOME)
    assert rc == 1
    assert "Nothing was sent." in told
    assert "(private; new), as somebody" in told
    assert not hub.repositories
    rc, answer, _ = push(ws, hub, tmp_path, "per-persona", HOME, "--yes", "--json")
    found, sent = hub.repositories[HOME], json.loads(answer)
    assert rc == 0
    assert found.private
    assert {name: len(content) for name, content in found.files.items()} == sent["files"]
    assert sent["bytes"] == sum(map(len, found.files.values()))
    assert f"{sent['bytes']:,}" in told or f"{sent['bytes'] / 1e6:,.0f} MB" in told
    assert all(str(tiny_base).encode() not in content for content in found.files.values())
    here = Path(snapshot_download(HOME, endpoint=hub.address, token=TOKEN, cache_dir=tmp_path / "elsewhere"))
    persona = load_dataset(ws).personas[0].persona_id
    home = json.loads((here / "personas.json").read_text())[persona]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), here / home).eval()
    one = variant(ws, "per-persona")
    text = said(model, tiny_base, next(iter(prompts(here).values())))
    assert text == expected(ws, one, persona).strip()


@pytest.fixture
def own_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The token of the hub and no other login; large files go by Git LFS."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


def a_parcel(folder: Path) -> Parcel:
    (folder / "adapters" / "p1").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n# A card\n")
    (folder / "adapters" / "p1" / "adapter_model.safetensors").write_bytes(b"w" * 2_000)
    return parcel(folder, base="owner/base")


@pytest.mark.usefixtures("own_token")
def test_in_the_app_what_goes_out_is_shown_first_and_sent_by_a_second_click(
    ws: Workspace, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setenv("PERSONA_LAB_WORKSPACE", str(ws.root))
    app = AppTest.from_file(str(REPOSITORY / "pages" / "shared" / "script.py"), default_timeout=240)
    app.run()
    app.query_params["view"] = "away"
    app.switch_page(frame.script_of("compare")).run()
    assert app.button(key="compare_hub").disabled
    app.text_input(key="compare_hub_repository").input(HOME).run()
    app.button(key="compare_hub").click().run()
    assert not hub.repositories
    told = "".join(one.value for one in app.caption)
    assert f"{HOME} (private; new), as {ACCOUNT}" in frame_free(told)
    app.button(key="compare_hub_send").click().run()
    assert not app.exception
    assert hub.repositories[HOME].private
    assert "README.md" in hub.repositories[HOME].files
    assert any(HOME in frame_free(one.value) for one in app.success)
    assert TOKEN not in "".join(str(one.proto) for one in app.main)


def frame_free(text: str) -> str:
    """A text without the signs that keep Markdown from reading it."""
    return text.replace("\\", "")


def test_no_path_of_this_machine_goes_out_however_it_is_written(tmp_path: Path) -> None:
    base = tmp_path / "my ünï base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    out = tmp_path / "out"
    out.mkdir()
    named = {"base_model_name_or_path": str(base)}
    for name, escaped in (("ours.json", False), ("theirs.json", True)):
        (out / name).write_text(json.dumps(named, ensure_ascii=escaped))
    parcel(out, base=str(base))
    for path in out.iterdir():
        assert json.loads(path.read_text())["base_model_name_or_path"] == base.name


@pytest.mark.usefixtures("own_token")
def test_a_second_push_takes_the_place_of_the_first(hub: Hub, tmp_path: Path) -> None:
    stale = {"adapters/long-gone/adapter_config.json": b"{}", "notes.md": b"mine"}
    hub.repositories[HOME] = Repository(True, dict(stale))
    sent = a_parcel(tmp_path / "out")
    assert sent.parts() == [("README.md", 1, 36), ("adapters/", 1, 2_000)]
    for _ in range(2):
        push_to(destination(HOME, endpoint=hub.address), sent, message="from here")
    files = hub.repositories[HOME].files
    assert sorted(files) == ["README.md", "adapters/p1/adapter_model.safetensors", "notes.md"]
    assert sum(method == "PUT" for method, _, _ in hub.heard) == 1  # what is there is not sent twice


@pytest.mark.usefixtures("own_token")
@pytest.mark.parametrize(
    ("repository", "token", "fault"),
    [
        (f"{ACCOUNT}/public", TOKEN, "everybody can read"),
        ("else/where", TOKEN, "write to else/where"),
        (HOME, "hf_another-token", "write to somebody/adapters"),
        (HOME, "", "has no token"),
        ("adapters", TOKEN, "no repository"),
        (f"{ACCOUNT}/..", TOKEN, "no repository"),
        (f"{ACCOUNT}/full", TOKEN, "storage is full"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_remedy(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, token: str, fault: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.repositories[f"{ACCOUNT}/public"] = Repository(private=False)
    hub.is_full = repository.endswith("full")
    with pytest.raises(EngineError, match=fault) as refused:
        push_to(
            destination(repository, endpoint=hub.address), a_parcel(tmp_path / "out"), message="from here"
        )
    assert refused.value.hint
    assert not token or token not in f"{refused.value}{refused.value.hint}"
    assert not any(one.files for one in hub.repositories.values())
