"""What the helpers are made of.

From the bottom: `waker` and `connection` (one socket), `names` (where the event service is),
`calls` (answers to requests); above them `reconnecting_connection`
keeps a connection alive. A publisher is an `outbox` and a `sender` on such a connection; a
subscriber is an inbox filled by a stream or by a callback (`receiving`). A reconnecting proxy
borrows from a `proxy_pool`.
"""
