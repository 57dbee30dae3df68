"""The machinery of the helpers.

From the bottom: `waker` and `connection` (one socket), `names` (where the event service is),
`calls` (answers to requests); above them `reconnecting_connection`, a link, keeps a connection
alive. A publisher is an `outbox` and a `sender` on a link; a subscriber is an inbox filled by a
stream or by a callback (`receiving`). A reconnecting proxy uses a `proxy_pool`.
"""
