"""The Hugging Face Hub: whether it can be reached, found out once and within seconds."""

import functools
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from emotion_lit.utils import caches

TIMEOUT_SECONDS = 5.0


@functools.cache
def reachable() -> bool:
    """Whether the Hub answers; where there is no way to it, client libraries are told to use what they have cached.

    Without this, they try again for half a minute before they say the same. It is asked with their own session, which
    brings its certificates and knows their settings. A slow answer or a bad certificate is no proof that there is no
    way: the client says itself what is wrong.
    """
    from huggingface_hub import constants, get_session

    caches.report_library_caches()
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_SECONDS)
    except Exception as error:  # of the client that huggingface_hub happens to use
        if not _proves_no_way(error):
            return True
        _use_caches_only()
        return False
    return True


def _proves_no_way(error: BaseException) -> bool:
    """Whether there is no route, no name or no answer at a port; not where somebody answered slowly or oddly."""
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
    if "datasets.config" in sys.modules:  # it takes over the constant when it is imported
        sys.modules["datasets.config"].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


@contextmanager
def quietly() -> Iterator[None]:
    """Without the bars and the warnings of the client library, such as that a pattern has no files."""
    from huggingface_hub import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden, verbosity = are_progress_bars_disabled(), logging.get_verbosity()
    disable_progress_bars()
    logging.set_verbosity(40)  # errors alone
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not hidden:
            enable_progress_bars()
