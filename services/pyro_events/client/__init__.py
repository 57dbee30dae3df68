"""What the helpers are made of.

From the bottom: `waker` and `connection` (one socket), `names` (where the event service is),
`backoff` (when to try again), `calls` (answers to requests); above them `pyro_events.link` keeps
a connection alive. A publisher is an `outbox` and a `sender` on a link; a subscriber is an
`inbox` filled by a `stream` or by a `callback`, and emptied by a `listener`. A reconnecting proxy
borrows from a pool of `line`s, and hears by `lifecycle` what becomes of services.
"""
