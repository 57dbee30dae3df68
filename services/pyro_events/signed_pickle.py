"""Objects that no codec knows, pickled and signed with a key that both ends share.

A pickle can run any code, so nothing is unpickled before its signature has been verified: only a
holder of the key can sign a message. Both ends use it explicitly; the event service sees opaque
bytes:

    box = SignedPickle(key)
    pub.publish("lab.model", box.dumps(model), opaque=True)

    def event(self, event):
        model = box.loads(event.msg)

The signature is HMAC-SHA256 (RFC 2104), under the SHA-256 of the key, over a header with the format
and the pickle. Nothing is encrypted, and anyone who sees a message can send it again, so a message
that must not take effect twice needs a number of its own inside.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any, Final

__all__ = ["BadSignature", "SignedPickle"]

MIN_KEY_BYTES: Final = 16

_HEADER: Final = b"pyro_events.pickle.1\0"
_DIGEST_SIZE: Final = hashlib.sha256().digest_size
_START: Final = len(_HEADER) + _DIGEST_SIZE


class BadSignature(ValueError):
    """A message was not signed with this key, or is not what was signed. Nothing was unpickled."""


class SignedPickle:
    """Pickles and unpickles with a key of at least 16 random bytes, as from `secrets.token_bytes`.

    Any number of threads may use it at once. Raises ValueError for a shorter key and TypeError for
    one that isn't bytes.
    """

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes):
            raise TypeError(f"the key must be bytes, not {type(key).__name__}")
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed")
        # HMAC itself treats a key with zeros appended as the same key.
        self._key = hashlib.sha256(key).digest()

    def dumps(self, obj: Any) -> bytes:
        """Return the object as a message to be published with `opaque=True`.

        Raises pickle's own errors for an object that it can't pickle.
        """
        payload = pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)
        return b"".join((_HEADER, self._sign(payload), payload))

    def loads(self, message: Any) -> Any:
        """Return the object of a message that `dumps` returned, with the same key.

        Raises BadSignature for anything else, and pickle's own errors if an object with a valid
        signature can't be recreated here (because its class is missing, for example).
        """
        if not isinstance(message, bytes) or not message.startswith(_HEADER):
            raise BadSignature("the message is not a signed pickle")
        signature, payload = message[len(_HEADER) : _START], message[_START:]
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise BadSignature(
                "the message's signature is wrong: another key was used, or it was changed"
            )
        return pickle.loads(payload)  # noqa: S301 - a holder of the key signed it

    def _sign(self, payload: bytes) -> bytes:
        signature = hmac.new(self._key, _HEADER, hashlib.sha256)
        signature.update(payload)
        return signature.digest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
