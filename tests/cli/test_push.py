"""Exports go to a Hub on the loopback through the real client, and come back as they were."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants, snapshot_download

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.cli.push import find_repository, push
from emotion_lit.errors import UserError
from emotion_lit.utils import hub
from tests.cli.conftest import Exported
from tests.cli.exports import run_cards
from tests.cli.upload_hub import LARGE, UploadHub
from tests.conftest import failing

TEXTS = ["what a day!", "leave me alone"]
CREATE = "POST /api/repos/create"


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    """A Hub that takes uploads."""
    folder = tmp_path / "store"
    folder.mkdir()
    with UploadHub(folder).running() as served:
        use_hub(monkeypatch, served.endpoint)
        yield served
    hub.reachable.cache_clear()


@pytest.fixture
def store(uploads: UploadHub) -> Path:
    """The folder of its repositories."""
    return uploads.folder


def use_hub(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Makes the client library take a Hub at another place."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the Hub here has LFS
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", "any")
    hub.reachable.cache_clear()


def words(run: Path, output: Path, *more: str) -> list[str]:
    """An export that is uploaded."""
    return ["export", f"--ckpt_path={run}", f"--output={output}", "--push_to_hub=emo", "--overwrite=true", *more]


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_repository_holds_the_last_export_and_nothing_else(
    tiny_run: Path, tiny_backbone: Path, uploads: UploadHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = load(tiny_run).probabilities(TEXTS)
    store = uploads.folder
    for format in ("adapter", "hf", "onnx"):
        main([*words(tiny_run, tmp_path / "out", f"--format={format}")[:-1], f"--format={format}"])
        assert contents(store / "me" / "emo") == contents(tmp_path / "out")
        fetched = snapshot_download("me/emo", local_dir=tmp_path / "fetched" / format)
        given = load(fetched, backbone=str(tiny_backbone) if format == "adapter" else None)
        assert given.probabilities(TEXTS) == pytest.approx(expected, abs=1e-4)
    printed = capsys.readouterr().err
    assert printed.count("read back") == 3
    assert printed.count("/me/emo/commit/") == 3
    order = [uploads.requests.index(f"{way}") for way in ("GET /api/whoami-v2", "POST /api/validate-yaml", CREATE)]
    assert order == sorted(order)


@pytest.mark.slow
def test_the_code_of_cards_on_the_hub_runs_as_it_stands(
    tiny_run: Path, tiny_backbone: Path, store: Path, tmp_path: Path
) -> None:
    model = load(tiny_run)
    folders = []
    for format in ("adapter", "hf", "onnx"):
        folder = tmp_path / "out" / format
        main([*words(tiny_run, folder)[:3], f"--push_to_hub={format}", f"--format={format}"])
        folders.append(tmp_path / "elsewhere" / format)
        folders[-1].mkdir(parents=True)
        shutil.copy(folder / "README.md", folders[-1])
    shutil.copytree(tiny_backbone, tmp_path / "elsewhere" / "adapter" / tiny_backbone.name)
    reached = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": constants.ENDPOINT}
    for printed in run_cards(folders, tmp_path, **reached):
        assert printed[-1] == str([model(text).label for text in TEXTS])


def send(folder: Path, private: bool | None = None, overwrite: bool = False) -> None:
    """Uploads an export that is there."""
    push(folder, find_repository("emo", private, overwrite))


def test_files_of_others_stay(exported: Exported, store: Path) -> None:
    folder, mine = exported(False)[1] / "adapter", store / "me" / "emo"
    mine.mkdir(parents=True)
    (mine / "model.safetensors").write_text("years of work")
    (mine / ".gitattributes").write_text("*.bin filter=lfs")
    with pytest.raises(
        UserError, match="me/emo contains files that no export wrote: model.safetensors; .*--overwrite true"
    ):
        send(folder)
    send(folder, overwrite=True)
    assert contents(mine) == {**contents(folder), ".gitattributes": b"*.bin filter=lfs"}
    send(folder)
    (mine / "thesis.txt").write_text("more work")
    with pytest.raises(UserError, match="no export wrote: thesis.txt;"):
        send(folder)
    assert (mine / "thesis.txt").is_file()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b/c", "is not a Hub id"),
        ("bad id", "is not a Hub id"),
        ("--x", "is not a Hub id"),
        ("you/emo", "me is logged in, and owners that may be written to are me; give one of these"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(
    tiny_run: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    line = failing(capsys, *words(tiny_run, tmp_path / "out"), f"--push_to_hub={name}")
    assert reason in line
    assert not (tmp_path / "out").exists()
    assert not list(store.iterdir())


def test_a_hub_that_is_out_of_reach(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached; leave out" in failing(capsys, *words(tiny_run, tmp_path / "out"))
    hub.reachable.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in failing(capsys, *words(tiny_run, tmp_path / "out"))
    assert "give --push_to_hub too" in failing(capsys, *words(tiny_run, tmp_path / "out")[:3], "--private=true")
    assert not (tmp_path / "out").exists()
    hub.reachable.cache_clear()


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({"name": "me", "auth": {"accessToken": {"role": "read"}}}, "the token of me can only read"),
        (None, "nobody is logged in; log in with `hf auth login`"),
    ],
)
def test_a_token_that_may_not_write(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    user: Any,
    reason: str,
) -> None:
    from huggingface_hub.errors import LocalTokenNotFoundError

    def whoami(_: HfApi) -> Any:
        if user is None:
            raise LocalTokenNotFoundError("Token is required\nbut no token found")
        return user

    monkeypatch.setattr(hub, "reachable", lambda: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "whoami", whoami)
    monkeypatch.setattr("emotion_lit.cli.push._info", lambda *_: None)
    assert reason in failing(capsys, *words(tiny_run, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_card_that_the_hub_refuses_makes_no_repository(exported: Exported, store: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported(False)[1] / "adapter", tmp_path / "out"))
    (folder / "README.md").write_text("---\nbase_model: ../my models/bert\ndatasets: [../x y]\n---\n\n# x\n")
    with pytest.raises(UserError) as refused:
        send(folder)
    line = str(refused.value)
    assert '"base_model" with value "../my models/bert" is not valid.; "datasets[0]" with value "../x y"' in line
    assert "log in" not in line
    assert not list(store.iterdir())


@pytest.mark.parametrize(("typed", "private"), [(None, True), (True, True), (False, False)])
def test_a_new_repository_is_private_unless_asked(
    exported: Exported, uploads: UploadHub, typed: bool | None, private: bool
) -> None:
    send(exported(False)[1] / "adapter", private=typed)
    assert uploads.private == {"me/emo": private}
    send(exported(False)[1] / "adapter")  # keeps it as it is
    assert uploads.private == {"me/emo": private}


@pytest.mark.parametrize("private", [True, False])
def test_an_existing_repository_becomes_what_is_asked_before_files_arrive(
    exported: Exported, uploads: UploadHub, private: bool
) -> None:
    send(exported(False)[1] / "adapter", private=not private)
    uploads.requests.clear()
    send(exported(False)[1] / "adapter", private=private)
    assert uploads.private == {"me/emo": private}
    settings, commit = "PUT /api/models/me/emo/settings", "POST /api/models/me/emo/commit/main"
    assert uploads.requests.index(settings) < uploads.requests.index(commit)


@pytest.mark.parametrize("kind", ["hf", "onnx"])
def test_weights_go_to_lfs(exported: Exported, uploads: UploadHub, kind: str) -> None:
    folder = exported(False)[1] / kind
    weights = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in LARGE}
    assert weights
    send(folder)
    assert sorted(uploads.objects.values()) == sorted(weights.values())
    assert contents(uploads.folder / "me" / "emo") == contents(folder)


def test_what_the_hub_gives_back_is_compared(exported: Exported, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = HfApi.create_commit

    def without_the_first(api: HfApi, name: str, operations: Any, **how: Any) -> Any:
        return commit(api, name, operations[1:], **how)

    monkeypatch.setattr(HfApi, "create_commit", without_the_first)
    with pytest.raises(UserError, match="me/emo does not contain what was uploaded: README.md"):
        send(exported(False)[1] / "adapter")
