import os
from pathlib import Path

import psutil
import pytest

from emotion_lit.utils import memory, platforms
from emotion_lit.utils.memory import _left_in_cgroups, available_memory


def files(root: Path, **contents: str) -> None:
    for name, text in contents.items():
        file = root / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_the_limits_of_all_cgroups_around_count(tmp_path: Path) -> None:
    files(
        tmp_path,
        proc__self__cgroup="0::/pod/box\n",
        sys__fs__cgroup__pod__box__memory_DOT_max="max\n",
        sys__fs__cgroup__pod__box__memory_DOT_current="5\n",
        sys__fs__cgroup__pod__box__memory_DOT_stat="",
        sys__fs__cgroup__pod__memory_DOT_max="1000\n",
        sys__fs__cgroup__pod__memory_DOT_current="700\n",
        sys__fs__cgroup__pod__memory_DOT_stat="anon 5\ninactive_file 200\n",
    )
    assert list(_left_in_cgroups(tmp_path)) == [500]


def test_the_first_version_of_cgroups(tmp_path: Path) -> None:
    folder = "sys__fs__cgroup__memory__memory_DOT_"
    contents = {f"{folder}limit_in_bytes": "1000", f"{folder}usage_in_bytes": "300", f"{folder}stat": ""}
    files(tmp_path, proc__self__cgroup="9:name=systemd:/\n4:cpu,memory:/not/shown/inside\n0::/\n", **contents)
    assert list(_left_in_cgroups(tmp_path)) == [700]


def test_without_cgroups_it_is_the_machine_s(tmp_path: Path) -> None:
    assert list(_left_in_cgroups(tmp_path)) == []
    assert 0 < available_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(("amx", "kernels"), [(False, "64"), (True, "2048")])
def test_more_kernels_are_kept_where_compiling_them_is_slow(
    amx: bool, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(platforms, "has_amx", lambda: amx)
    memory.limit_kernel_cache()
    assert os.environ[variable] == kernels
    monkeypatch.setenv(variable, "7")
    memory.limit_kernel_cache()
    assert os.environ[variable] == "7"
