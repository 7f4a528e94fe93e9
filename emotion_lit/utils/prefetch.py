"""Prefetching: the next item is prepared in a thread while the current one is in use."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from emotion_lit.utils import signals

T = TypeVar("T")
_END: Any = object()


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yields the same items, each prepared in a thread while the one before is in use.

    Args:
        items: The items; their errors are raised here.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="read ahead")
    try:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item
    finally:  # at a signal the thread may be blocked on standard input forever
        thread.shutdown(wait=signals.received() is None, cancel_futures=True)
