"""The Hugging Face Hub: whether it is reachable, which is checked once and within seconds."""

import functools
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from emotion_lit.utils import caches

TIMEOUT_SECONDS = 5.0


@functools.cache
def reachable() -> bool:
    """Whether the Hub is reachable; if not, client libraries are set to offline mode and use their caches.

    Without this, they retry for half a minute. The request uses the session of huggingface_hub, with its certificates
    and proxies. A slow answer or a bad certificate does not count as unreachable; the client then reports the problem.
    """
    from huggingface_hub import constants, get_session

    caches.report_library_caches()
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_SECONDS)
    except Exception as error:  # the type depends on the HTTP client of huggingface_hub
        if not _is_unreachable(error):
            return True
        _use_caches_only()
        return False
    return True


def _is_unreachable(error: BaseException) -> bool:
    """Whether a connection failed: no route, no DNS name, or a closed port; timeouts and SSL errors do not count."""
    chain: list[BaseException] = []
    while error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__ or error
    if any(isinstance(one, ssl.SSLError | TimeoutError) or "Timeout" in type(one).__name__ for one in chain):
        return False
    return any("Connect" in type(one).__name__ or isinstance(one, OSError) for one in chain)


def _use_caches_only() -> None:
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    if "datasets.config" in sys.modules:  # it copies the constant when it is imported
        sys.modules["datasets.config"].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


@contextmanager
def quietly() -> Iterator[None]:
    """Hides the progress bars and warnings of huggingface_hub, such as that a pattern matches no files."""
    from huggingface_hub import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(40)  # logging.ERROR
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not hidden:
            enable_progress_bars()
