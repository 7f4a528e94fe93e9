"""What cannot be run here, simulated: Windows, Macs, containers, encodings."""

import os
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.inference.engines import TorchEngine
from emotion_lit.inference.origins import Origin
from emotion_lit.utils import hub, platforms
from emotion_lit.utils.files import why_not_writable
from tests.conftest import ROOT, SMALL, failing


class OffCpu(torch.Tensor):
    """A tensor that behaves as on a device of Apple's: there is no double precision, and no way to NumPy."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.numpy:
            raise TypeError("can't convert a tensor of another device to numpy")
        result = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        if func is torch.Tensor.cpu:
            return result.as_subclass(torch.Tensor)
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else repr(self)


@pytest.fixture
def off_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.strategies import SingleDeviceStrategy

    def moved(strategy: Any, batch: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        return {
            key: value.as_subclass(OffCpu) if isinstance(value, torch.Tensor) else value for key, value in batch.items()
        }

    monkeypatch.setattr(SingleDeviceStrategy, "batch_to_device", moved)


@pytest.mark.usefixtures("off_cpu")
def test_nothing_is_in_double_precision_off_the_cpu(
    tiny_run: Path, texts_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    main(["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}", f"--prediction.path={output}"])
    assert len(output.read_text().splitlines()) == 4
    main(["test", f"--ckpt_path={tiny_run}", f"--evaluation.path={tmp_path / 'out.json'}"])
    cli = main(["fit", *SMALL, "--trainer.fast_dev_run=2", f"--trainer.default_root_dir={tmp_path}"])
    assert cli is not None
    assert cli.trainer.global_step == 2


def test_a_run_on_the_cpu_asks_nothing_of_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def used(*_: Any, **__: Any) -> None:
        raise AssertionError("CUDA was used")

    for name in ("synchronize", "is_bf16_supported", "get_device_capability", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, used)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    words = ["--trainer.accelerator=cpu", "--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}"]
    cli = main(["fit", *SMALL, *words])
    assert cli is not None
    loader: Any = cli.trainer.train_dataloader
    assert (loader.num_workers, loader.pin_memory) == (0, False)


def test_devices_are_known_by_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platforms.device_type("cpu") == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert platforms.device_type() == platforms.device_type("gpu") == platforms.device_type("mps") == "mps"
    assert platforms.padding_multiple("mps") == 16
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert platforms.device_type() == platforms.device_type("cuda") == "cuda"
    assert platforms.padding_multiple("cuda") == 1


def test_time_and_memory_on_a_mac_are_those_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: calls.append("waited"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: calls.append("emptied"))
    for device in ("cpu", "mps"):
        platforms.synchronize(torch.device(device))
        platforms.return_device_memory(torch.device(device))
    assert calls == ["waited", "emptied"]


def test_masks_that_fused_attention_misreads_are_added(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["what a day!", "I can't stop worrying about tomorrow"]
    model = load(tiny_run)
    assert isinstance(model.engine, TorchEngine)
    model.engine.network.encoder.set_attn_implementation("sdpa")
    fused = model.probabilities(texts)
    monkeypatch.setattr(platforms, "misreads_masks", lambda _: True)
    torch.testing.assert_close(model.probabilities(texts), fused)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "odd"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path: Path, files: dict[str, str], wanted: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert platforms.cpu_quota(tmp_path) == wanted


@pytest.mark.parametrize(("variable", "threads"), [("", 1), ("2", 2)])
def test_threads_keep_to_the_quota_unless_they_are_set(
    monkeypatch: pytest.MonkeyPatch, variable: str, threads: int
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(platforms, "cpu_quota", lambda: 0.5)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    try:
        torch.set_num_threads(2)
        platforms.limit_threads_to_cpu_quota()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["a:b", "what?", "a*", "NUL", "runs/com1.old", "ends.", "a<b", "tab\t"])
def test_names_that_windows_refuses_are_refused_everywhere(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert "Windows" in failing(capsys, "fit", *SMALL, f"--name={name}")


@pytest.mark.parametrize("name", ["emotion", "Gefühle", "a/b", "lora_2_percent", "v1.2"])
def test_other_names_are_not(name: str) -> None:
    platforms.check_folder_name("name", name)


def test_a_folder_that_cannot_be_written_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not_writable(tmp_path) is None
    assert list(tmp_path.iterdir()) == []

    def denied(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)
    assert why_not_writable(tmp_path) == "Permission denied"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("../../Anna Schmidt/own.csv", "own.csv"),
        ("..\\..\\Anna Schmidt\\own.csv", "own.csv"),
        ("C:\\Users\\Anna\\own.csv", "own.csv"),
        ("/home/anna/own.csv", "own.csv"),
        ("cirimus/super-emotion", "cirimus/super-emotion"),
    ],
)
def test_a_card_names_no_folders_of_any_system(path: str, name: str) -> None:
    assert platforms.last_name(path) == name
    assert Origin(path, on_hub="/" in name).shown == name


CP1252 = """
import builtins, sys
plain = builtins.open
def cp1252(file, mode="r", buffering=-1, encoding=None, *rest, **named):  # what Windows does without an encoding
    return plain(file, mode, buffering, encoding or (None if "b" in mode else "cp1252"), *rest, **named)
builtins.open = cp1252
from emotion_lit.cli import main
main(sys.argv[1:])
"""


def test_configurations_are_utf8_on_every_system(tmp_path: Path) -> None:
    labels = ["Überraschung", "怖い", "😀"]
    rows = [f'{{"text": "text {number}", "labels": "{labels[number % 3]}"}}' for number in range(90)]
    (tmp_path / "own.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "own.yaml").write_text(
        "\ufeffname: Gefühle\ndata: {labels: [怖い, Überraschung, 😀]}\n", encoding="utf-8"
    )
    words = [*SMALL, f"--data.dataset={tmp_path / 'own.jsonl'}", "--trainer.max_epochs=1", "--data.train_size=null"]
    words += ["--data.val_size=null", "--data.test_size=null", f"--trainer.default_root_dir={tmp_path}"]
    command = [sys.executable, "-c", CP1252, "fit", "--config", str(tmp_path / "own.yaml"), *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "0"}
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "Gefühle" / "version_0"
    assert load(run).labels == ["怖い", "Überraschung", "😀"]
    assert yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["name"] == "Gefühle"
    assert "Glyph" not in done.stderr


def test_a_configuration_in_another_encoding_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_bytes("name: Gefühle".encode("cp1252"))
    assert "UTF-8" in failing(capsys, "fit", "--config", str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("error", "reachable"),
    [
        (ConnectionRefusedError(111, "Connection refused"), False),
        (OSError(-2, "Name or service not known"), False),
        (ssl.SSLCertVerificationError("certificate verify failed"), True),
        (TimeoutError("timed out"), True),
    ],
)
def test_only_what_proves_it_is_taken_for_no_network(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reachable: bool
) -> None:
    def head(address: str, timeout: float) -> None:
        assert timeout <= 5
        raise RuntimeError("from the client") from error

    monkeypatch.setattr("huggingface_hub.get_session", lambda: SimpleNamespace(head=head))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    hub.reachable.cache_clear()
    try:
        assert hub.reachable() is reachable
    finally:
        hub.reachable.cache_clear()


def test_a_pytorch_without_cuda_beside_a_gpu_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "C:/Windows/System32/nvidia-smi.exe")
    monkeypatch.setattr(torch.version, "cuda", None)
    problem = platforms.cuda_problem()
    assert problem is not None
    assert problem.startswith("this PyTorch is built without CUDA")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    assert platforms.cuda_problem() is None


def test_windows_and_notebooks_take_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not platforms.one_device_only()
    monkeypatch.setattr(platforms, "is_windows", lambda: True)
    assert platforms.one_device_only()
