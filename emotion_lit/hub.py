"""The Hugging Face Hub: whether it can be reached, found out once and within seconds."""

import functools
import urllib.error
import urllib.request

from emotion_lit import caches

TIMEOUT_SECONDS = 5.0


@functools.cache
def reachable() -> bool:
    """Whether the Hub answers; where it does not, the client libraries are told to use only what they have cached.

    Without this, they try again for half a minute before they say the same.
    """
    from huggingface_hub import constants

    caches.say_library_caches()
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        _use_caches_only()
        return False
    return True


def _use_caches_only() -> None:
    import datasets.config
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True
