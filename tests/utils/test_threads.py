"""How processes share the cores of a machine."""

import os
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import torch

from emotion_lit.utils import distributed, platforms, threads


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_num_threads(before)


def together(monkeypatch: pytest.MonkeyPatch, *others: tuple[str, set[int]], cores: int = 8) -> None:
    """This process on a machine `a` with some cores, and others on their machines and cores."""
    monkeypatch.setattr("platform.node", lambda: "a")
    monkeypatch.setattr(threads, "usable_cores", lambda: frozenset(range(cores)))
    monkeypatch.setattr(platforms, "cpu_quota", lambda: None)
    everyone = [(machine, frozenset(own)) for machine, own in others]
    monkeypatch.setattr(distributed, "all_gather", lambda mine: [mine, *everyone])
    torch.set_num_threads(cores)


def test_processes_on_the_same_cores_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch, ("a", set(range(8))), ("b", set(range(8))))
    assert threads.share_cores(threads.own_threads()) == 2
    assert torch.get_num_threads() == 4


def test_processes_with_cores_of_their_own_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch, ("a", {8, 9}))
    assert threads.share_cores(threads.own_threads()) == 1
    assert torch.get_num_threads() == 8


def test_every_process_has_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    together(monkeypatch, *[("a", {0, 1})] * 5, cores=2)
    threads.share_cores(threads.own_threads())
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("given", [{}, {"OMP_NUM_THREADS": "1"}])
def test_one_thread_is_only_kept_if_somebody_has_chosen_it(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default torchrun sets one thread if nobody has set another number."""
    together(monkeypatch, ("a", set(range(8))))
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    parent: Any = type("Parent", (), {"environ": lambda _: given})
    monkeypatch.setattr(psutil, "Process", lambda pid: parent() if pid == os.getppid() else None)
    threads.share_cores(threads.own_threads())
    assert torch.get_num_threads() == (1 if given else 4)
