import ast
from pathlib import Path

from emotion_lit.model import pretrained

PACKAGE = Path(pretrained.__file__).parent.parent
# What reads a folder or a Hub id, and runs what it brings along unless it is told not to.
READERS = ("from_pretrained", "from_config", "load_dataset")


def test_transformers_is_asked_for_files_in_one_place_alone_and_never_for_code() -> None:
    calls = [
        (file.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), {keyword.arg for keyword in node.keywords})
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS
    ]
    elsewhere = [call for call in calls if call[0] != "model/pretrained.py"]
    # `datasets` runs no code of others since 4.0.
    # What an export is checked with has just been written.
    assert {file: name for file, name, _ in elsewhere} == {
        "data/downloads.py": "datasets.load_dataset",
        "inference/export_consumers.py": "PeftModel.from_pretrained",
    }
    assert all(None in keywords for file, _, keywords in calls if file == "model/pretrained.py")  # **NO_CODE
    assert pretrained.NO_CODE == {"trust_remote_code": False}


def test_nothing_is_unpickled_but_numbers() -> None:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if (file.name, name) == ("ray_data.py", "pickle.loads"):
                    continue  # not from a file: what the driver sends through Ray, which pickles as well
                assert name not in ("pickle.load", "pickle.loads", "eval", "exec", "yaml.load", "yaml.unsafe_load"), (
                    file
                )
                if name == "torch.load":
                    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                    assert given.get("weights_only") == "True", file
