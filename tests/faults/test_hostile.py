"""Files that come from anywhere: they run nothing, leave no folder, take bounded memory, and end in one line."""

import copy
import io
import json
import math
import os
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from emotion_lit import EmotionClassifier, load
from emotion_lit.cli import main
from emotion_lit.cli.export import export
from emotion_lit.errors import UserError
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.checkpoint import weights_sha256
from emotion_lit.model.checkpoint.hashes import files_sha256
from tests.conftest import SMALL, failing

Checkpoint = dict[str, Any]
MISSING = object()
COUNTS: Counter[str] = Counter()
TEXTS = ["what a day!", "the shop opens at nine"]


@pytest.fixture(scope="module", autouse=True)
def _counts() -> Iterator[None]:
    yield
    print(f"\nhostile files: {dict(COUNTS)}", file=sys.__stderr__)


@pytest.fixture(scope="module")
def run(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny encoder, trained as a whole."""
    folder = tmp_path_factory.mktemp("hostile")
    words = [f"--model.backbone={tiny_backbone}", "--model.tuning=full", "--trainer.max_epochs=1"]
    main(["fit", *SMALL, *words, f"--trainer.default_root_dir={folder}", "--name=tiny"])
    return folder / "tiny" / "version_0"


@pytest.fixture(scope="module")
def whole(run: Path) -> Checkpoint:
    """What its checkpoint holds."""
    return dict(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True))


@pytest.fixture(scope="module")
def exports(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its exports by their formats."""
    folder = tmp_path_factory.mktemp("exports")
    for format in ("hf", "onnx"):
        main(["export", f"--ckpt_path={run}", f"--output={folder / format}", f"--format={format}"])
    return folder


def is_plain(value: Any) -> bool:
    """Whether a weight is one that can be saved by a training."""
    return (
        isinstance(value, torch.Tensor) and value.device.type == "cpu" and not value.is_sparse and value.numel() < 100
    )


def changed(checkpoint: Checkpoint, where: str, value: Any) -> Checkpoint:
    """A checkpoint with something else at a place, whose hashes are right again."""
    result = copy.deepcopy(checkpoint)
    *outer, key = where.split("/")
    holder = result
    for name in outer:
        holder = holder.setdefault(name, {})
    if value is MISSING:
        del holder[key]
    else:
        holder[key] = value
    own: Any = result.get("emotion_lit")
    if isinstance(own, dict) and where.startswith("state_dict/") and is_plain(value):
        own["weights_sha256"] = weights_sha256(result["state_dict"])
    if where.startswith("emotion_lit/files/"):
        own["files_sha256"] = files_sha256(own["files"])
    return result


OWN, MODEL, DATA, TRAINER = "emotion_lit", "hyper_parameters", "datamodule_hyper_parameters", "trainer_parameters"
ODD: list[tuple[str, Any]] = [
    *((f"{section}", value) for section in (OWN, MODEL, DATA, "state_dict") for value in (None, [], "x", MISSING)),
    *((f"{OWN}/format", value) for value in ("1", None, 1.5, True, 99, MISSING)),
    *((f"{OWN}/{key}", value) for key in ("version", "backbone", "files", "paths") for value in (None, 1, ["x"])),
    *((f"{OWN}/files/{name}", "{}") for name in ("..", "", ".", "a\0.json", "../x.json", "/x.json", "C:x.json")),
    *((f"{OWN}/files/{name}", "import os") for name in ("a.py", "a\\b.json", "pytorch_model.bin", "a.so", "é.json")),
    (f"{OWN}/files/config.json", "x"),
    (f"{OWN}/files/config.json", "[" * 100_000),
    (f"{OWN}/files/config.json", MISSING),
    (f"{OWN}/files/tokenizer.json", MISSING),
    (f"{OWN}/files/tokenizer.json", '{"added_tokens": 3}'),
    (f"{OWN}/files/tokenizer.json", "x" * (2**26 + 1)),
    (f"{OWN}/files/many.json", 3),
    (f"{OWN}/paths/trainer_parameters.trainer.default_root_dir", "x"),
    (f"{OWN}/paths/hyper_parameters.backbone", "\0"),
    *((f"{MODEL}/temperature", value) for value in (math.nan, math.inf, 0, -1.0, "1", [1.0], 10**30, MISSING)),
    *((f"{MODEL}/threshold", value) for value in (2.0, -0.1, "x", [0.5], [math.nan] * 7, MISSING)),
    *((f"{MODEL}/labels", value) for value in (None, "abcdefg", [1] * 7, ["a"] * 7, ["a"], [], ["a", None], MISSING)),
    *((f"{MODEL}/tuning", value) for value in ("bogus", None, "lora", MISSING)),
    *((f"{MODEL}/lora/{key}", value) for key, value in (("rank", 10**9), ("rank", "x"), ("code", "os.system"))),
    *((f"{MODEL}/trainable_layers", value) for value in (math.inf, math.nan, 10**9, "x")),
    *((f"{MODEL}/{key}", "os.system") for key in ("class_path", "_instantiator", "init_args", "unknown")),
    *((f"{DATA}/max_length", value) for value in (None, "x", 10**12, 0, MISSING)),
    *((f"{DATA}/tokens_per_batch", value) for value in (10**12, 0, math.nan)),
    *((f"{DATA}/{key}", "/etc/passwd") for key in ("cache_dir", "predict_path", "num_workers", "class_path")),
    (f"{TRAINER}", [1]),
    (f"{TRAINER}/callbacks", [{"class_path": "os.system"}]),
    (f"{TRAINER}/trainer/callbacks", [{"class_path": "os.system"}]),
    (f"{TRAINER}/trainer/default_root_dir", "/elsewhere"),
    (f"{TRAINER}/trainer/logger", {"class_path": "os.system"}),
    (f"{TRAINER}/trainer/max_epochs", {"class_path": "os.system"}),
    (f"{TRAINER}/prediction/path", "/elsewhere"),
    (f"{TRAINER}/name", "../../elsewhere"),
    (f"{TRAINER}/checkpoint/filename", "../../elsewhere"),
    (f"{TRAINER}/early_stopping/class_path", "os.system"),
    ("callbacks", [1]),
    ("loops", 3),
    ("state_dict/network.body.classifier.bias", torch.zeros(3)),
    ("state_dict/network.body.classifier.bias", torch.zeros(1).expand(10**13)),
    ("state_dict/network.body.classifier.bias", torch.zeros(7).to_sparse()),
    ("state_dict/network.body.classifier.bias", torch.zeros(7, device="meta")),
    ("state_dict/network.body.classifier.bias", [0.0] * 7),
    ("state_dict/network.body.classifier.bias", MISSING),
    ("state_dict/unknown", torch.zeros(3)),
]


def shown(value: Any) -> str:
    return "missing" if value is MISSING else "tensor" if isinstance(value, torch.Tensor) else repr(value)[:24]


@pytest.mark.parametrize(("where", "value"), ODD, ids=[f"{w.replace(chr(0), 'NUL')}={shown(v)}" for w, v in ODD])
def test_an_odd_checkpoint_is_refused_in_one_line(whole: Checkpoint, tmp_path: Path, where: str, value: Any) -> None:
    file = tmp_path / "odd.ckpt"
    torch.save(changed(whole, where, value), file)
    with pytest.raises(UserError) as refused:
        load(file)
    assert str(refused.value).count("\n") == 0
    assert not (tmp_path / "elsewhere").exists()
    COUNTS["checkpoints refused"] += 1


def test_what_is_known_to_be_right_still_loads(whole: Checkpoint, tmp_path: Path) -> None:
    earlier = copy.deepcopy(whole)
    earlier["emotion_lit"]["format"] = 1
    for key in ("paths", "files_sha256"):
        del earlier["emotion_lit"][key]
    torch.save(changed(earlier, f"{MODEL}/temperature", 1.5), tmp_path / "right.ckpt")
    assert len(load(tmp_path / "right.ckpt")(TEXTS)) == 2


def test_an_odd_one_is_one_line_of_the_command(
    whole: Checkpoint, tmp_path: Path, texts_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(changed(whole, f"{TRAINER}/callbacks", [{"class_path": "os.system"}]), tmp_path / "odd.ckpt")
    for words in (["predict", f"--data.predict_path={texts_file}"], ["fit"], ["test"]):
        assert "not a setting that a checkpoint may have" in failing(capsys, *words, f"--ckpt_path={tmp_path}/odd.ckpt")


def test_a_compressed_one_is_not_unpacked(run: Path, tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(run / "checkpoints" / "best.ckpt") as source,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in source.infolist():
            bomb.writestr(entry.filename, source.read(entry))
    with pytest.raises(UserError, match="it is compressed"):
        load(tmp_path / "bomb.ckpt")
    COUNTS["checkpoints refused"] += 1


class Marks:
    """Makes a file when it is unpickled by whoever lets a pickle run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def tokens_of_others(folder: Path, mark: Path) -> None:
    """A network and a tokenizer that bring their own code."""
    (folder / "evil.py").write_text(
        f"import os\nos.makedirs({str(mark)!r}, exist_ok=True)\n"
        "from transformers import BertConfig as C, BertForSequenceClassification as M, BertTokenizer as T\n"
    )
    edit(folder / "config.json", auto_map={"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"})
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", "evil.T"]}, tokenizer_class="EvilT")


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def unknown_type(folder: Path, mark: Path) -> None:
    tokens_of_others(folder, mark)
    edit(folder / "config.json", model_type="evil")


def pickled(folder: Path, mark: Path) -> None:
    torch.save({"weights": Marks(mark)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def kernel(folder: Path, mark: Path) -> None:
    edit(folder / "config.json", attn_implementation="evil/kernel")


Spoil = Callable[[Path, Path], None]
CODE = {"code of its own": tokens_of_others, "an unknown type": unknown_type, "a pickle": pickled, "a kernel": kernel}


@pytest.mark.parametrize("spoil", CODE.values(), ids=CODE)
@pytest.mark.parametrize("what", ["backbone", "export", "carried"])
def test_no_code_runs_and_nothing_is_asked(
    spoil: Spoil,
    what: str,
    tiny_backbone: Path,
    exports: Path,
    whole: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
    mark, folder = tmp_path / "mark", tmp_path / "folder"
    shutil.copytree(exports / "hf" if what == "export" else tiny_backbone, folder)
    spoil(folder, mark)
    if what == "backbone":
        line = tried(lambda: EmotionClassifier(["a", "b"], backbone=str(folder)).build())
        line += tried(lambda: load_tokenizer(str(folder)))
    elif what == "export":
        line = tried(lambda: load(folder)(TEXTS))
    else:
        files = {file.name: file.read_text() for file in folder.iterdir() if file.suffix in (".json", ".py")}
        own = {**whole["emotion_lit"], "files": files, "files_sha256": files_sha256(files)}
        torch.save({**whole, "emotion_lit": own}, tmp_path / "carries.ckpt")
        line = tried(lambda: load(tmp_path / "carries.ckpt")(TEXTS))
    assert not mark.exists()
    assert sys.stdin.read().count("y") == 20
    assert "weights_only" not in line
    assert "trust_remote_code" not in line
    COUNTS["with code"] += 1


def tried(what: Callable[[], Any]) -> str:
    """The one line of what is refused; empty where it works."""
    line = ""
    try:
        what()
    except UserError as error:
        line = str(error)
    assert "\n" not in line
    return line


def odd_exports() -> dict[str, tuple[str, Callable[[Path], Any]]]:
    """Ways to spoil an export, with its format."""

    def described(**changes: Any) -> Callable[[Path], Any]:
        return lambda folder: edit(folder / "labels.json", **changes)

    def configured(**changes: Any) -> Callable[[Path], Any]:
        return lambda folder: edit(folder / "config.json", **changes)

    def written(name: str, content: str) -> Callable[[Path], Any]:
        return lambda folder: (folder / name).write_text(content)

    ways = {f"labels {value}": ("onnx", described(labels=value)) for value in (None, [], ["a"], ["a", "b"], [1] * 7)}
    ways |= {f"max_length {value}": ("onnx", described(max_length=value)) for value in ("x", None, -1, 10**12)}
    ways |= {f"thresholds {value}": ("onnx", described(thresholds=value)) for value in ("x", [math.nan] * 7, [0.5])}
    ways |= {
        f"labels.json {text[:9]}": ("onnx", written("labels.json", text)) for text in ("", "[1]", "3", "[" * 10**5)
    }
    ways |= {f"{name} empty": ("onnx", written(name, "{}")) for name in ("model.onnx", "tokenizer.json", "labels.json")}
    ways["emotion_lit 3"] = ("hf", configured(emotion_lit=3))
    ways["a network of terabytes"] = ("hf", configured(hidden_size=10**6, intermediate_size=10**7))
    ways["a billion layers"] = ("hf", configured(num_hidden_layers=10**9))
    ways["a tokenizer of 65 MB"] = ("hf", written("tokenizer.json", "[" + "1," * 2**25 + "1]"))
    ways["no tokenizer"] = ("hf", lambda folder: (folder / "tokenizer.json").unlink())
    ways["torn weights"] = ("hf", lambda folder: os.truncate(folder / "model.safetensors", 10_000))
    return ways


ODD_EXPORTS = odd_exports()


@pytest.mark.parametrize("way", ODD_EXPORTS)
def test_an_odd_export_is_refused_in_one_line(exports: Path, tmp_path: Path, way: str) -> None:
    format, spoil = ODD_EXPORTS[way]
    folder = Path(shutil.copytree(exports / format, tmp_path / "odd"))
    spoil(folder)
    assert str(folder) in tried(lambda: load(folder)(TEXTS))
    COUNTS["exports refused"] += 1


def test_pickles_of_numbers_are_read(exports: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exports / "hf", tmp_path / "pickled"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert load(folder)(TEXTS)[0].probabilities == load(exports / "hf")(TEXTS)[0].probabilities


def test_only_an_export_is_overwritten(run: Path, exports: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(exports / "hf", tmp_path / "mine"))
    (mine / "thesis.docx").write_text("years of work")
    other = tmp_path / "other"
    other.mkdir()
    (other / "labels.json").write_text("[]")
    for folder in (mine, other):
        with pytest.raises(UserError, match="contains files that no export wrote"):
            export(run, folder, overwrite=True)
    assert (mine / "thesis.docx").read_text() == "years of work"
    (mine / "thesis.docx").unlink()
    export(run, mine, overwrite=True)
    assert load(mine)(TEXTS)[0].label == load(run)(TEXTS)[0].label
