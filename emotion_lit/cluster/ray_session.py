"""Ray: started on this machine, or joined where a cluster runs; without its messages, statistics and dashboard."""

import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emotion_lit.errors import UserError
from emotion_lit.utils.console import say
from emotion_lit.utils.files import reason_of
from emotion_lit.utils.streams import only_python_on_stderr

LOCAL = "ray"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108, the shared memory of Linux
# Ray's object store holds the windows on their way; each takes about a megabyte.
LEAST_SHARED, MOST_SHARED = 128 * 2**20, 2 * 2**30
CONNECT_SECONDS = 5.0
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about a default that will change
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_enable_metrics_collection": "0",
    "RAY_worker_niceness": "0",  # by default its processes give way to all others of the machine
}


@dataclass(frozen=True)
class Resources:
    """What a cluster has.

    Args:
        machines: The processors of each machine.
        gpus: The number of GPUs.
    """

    machines: tuple[int, ...]
    gpus: int

    def actors(self, wanted: int | None, on_gpus: bool) -> tuple[int, int]:
        """The number of actors, and the threads of each.

        Args:
            wanted: The number, if it is set.
            on_gpus: Whether each has a GPU.

        Raises:
            UserError: There are fewer GPUs or processors.
        """
        processors = sum(self.machines)
        if wanted is not None and wanted > (self.gpus if on_gpus else processors):
            there = f"{self.gpus} GPUs" if on_gpus else f"{processors} processors"
            raise UserError(f"prediction.actors is {wanted}, but the cluster has {there}; take at most as many")
        if on_gpus:
            return wanted or self.gpus, 1
        if wanted is None or wanted <= len(self.machines):
            return wanted or len(self.machines), min(self.machines)
        # As many on each machine as there is room for.
        threads = max(1, processors // wanted)
        while threads > 1 and sum(machine // threads for machine in self.machines) < wanted:
            threads -= 1
        return wanted, threads


def need_ray() -> None:
    """Checks that Ray is installed.

    Raises:
        UserError: It is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError('Ray is not installed; type: pip install "emotion-lit[ray]"')


@contextlib.contextmanager
def ray_session(cluster: str, actors: int | None = None, dashboard: bool = False) -> Iterator[Resources]:
    """Starts Ray on this machine, or joins a cluster, for the block.

    Args:
        cluster: ``ray`` for this machine, ``auto`` for the cluster that this machine is part of, or the address of one.
        actors: The number of actors, if it is set.
        dashboard: Whether Ray's dashboard is started.

    Raises:
        UserError: There is no such cluster, or no room for it.
    """
    need_ray()
    arguments = _start_arguments(actors, dashboard) if cluster == LOCAL else _join_arguments(cluster)
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    import ray

    if ray.is_initialized():  # as in a notebook, whose session stays
        yield _resources(ray.nodes())  # type: ignore[no-untyped-call]
        return
    handler = signal.getsignal(signal.SIGTERM)
    with only_python_on_stderr():
        try:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **arguments)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise UserError(f"prediction.cluster {cluster}: Ray does not start: {reason_of(error)}") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # which Ray has replaced
        try:
            yield _resources(ray.nodes())  # type: ignore[no-untyped-call]
        finally:
            ray.shutdown()


def _resources(nodes: list[dict[str, Any]]) -> Resources:
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    machines = tuple(int(one["CPU"]) for one in alive if one.get("CPU", 0) >= 1)
    if not machines:
        raise UserError("the cluster has no processors; add workers to it with ray start --address=...")
    return Resources(machines, int(sum(one.get("GPU", 0) for one in alive)))


def _start_arguments(actors: int | None, dashboard: bool) -> dict[str, Any]:
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else MOST_SHARED
    if free < LEAST_SHARED:
        raise UserError(
            f"{SHARED_MEMORY} has {free / 2**20:,.0f} MB left, and Ray needs {LEAST_SHARED / 2**20:,.0f} MB there; "
            "start the container with --shm-size=2g, or make room"
        )
    say("starting Ray on this machine")
    return {
        "address": "local",
        "num_cpus": max(torch.get_num_threads(), actors or 1),
        "include_dashboard": dashboard,
        "object_store_memory": int(min(MOST_SHARED, 0.8 * free)),
    }


def _join_arguments(address: str) -> dict[str, Any]:
    say(f"joining the Ray cluster {address}")
    if address == "auto":
        return {"address": os.environ.get("RAY_ADDRESS", "auto")}
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(
            f"prediction.cluster {address} is not an address; give ray for this machine, auto, or HOST:PORT, such as "
            "10.0.0.1:6379"
        )
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"there is no Ray cluster at {address} ({reason_of(error)}); start one with ray start --head, or give "
            "prediction.cluster ray for this machine"
        ) from error
    return {"address": address}
