"""All requests that can be made: the one list from which routes, roles and OpenAPI follow."""

from __future__ import annotations

from typing import Any

from pyroctl.web.api import acting, events, logs, looking, models, plots, signing_in
from pyroctl.web.api.call import Endpoint

V1 = "/api/v1"
OPEN = ""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", "/session", OPEN, signing_in.sign_in, models.SignedIn, models.SignIn),
    Endpoint("DELETE", "/session", "view", signing_in.sign_out),
    Endpoint("GET", f"{V1}/status", "view", looking.status, models.Status),
    Endpoint("GET", f"{V1}/services/{{name}}", "view", looking.service),
    Endpoint(
        *("GET", f"{V1}/timeline", "view", looking.timeline, list[models.TimelineEntry]),
        query=("since",),
    ),
    Endpoint("GET", f"{V1}/stream", "view", looking.stream, endless=True),
    Endpoint(
        "POST", f"{V1}/stream/{{id}}", "view", looking.choose_topics, models.Chosen, models.Topics
    ),
    Endpoint("POST", f"{V1}/foresee", "operate", acting.foresee, models.Cost, models.Foresee),
    *(
        Endpoint(
            *("POST", f"{V1}/services/{{name}}/{do}", "operate"),
            *(handler, models.Begun, models.Action),
        )
        for do, handler in acting.ACTIONS.items()
    ),
    Endpoint(
        *("GET", f"{V1}/logs", "view", logs.logs, models.Logs),
        query=("service", "since", "until", "grep", "case", "stream", "before", "after", "limit"),
        endless=True,
    ),
    Endpoint(
        *("GET", f"{V1}/series", "view", plots.series, models.Window),
        query=("service", "name", "from", "to", "points"),
    ),
    Endpoint(
        *("GET", f"{V1}/es/subscriptions", "view", events.subscriptions, list[dict[str, Any]]),
        query=("service", "sort"),
    ),
    Endpoint(
        *("GET", f"{V1}/es/subjects", "view", events.subjects, list[dict[str, Any]]),
        query=("service",),
    ),
    Endpoint(
        *("GET", f"{V1}/es/publishers", "view", events.publishers, list[dict[str, Any]]),
        query=("service",),
    ),
    Endpoint("GET", f"{V1}/es/message", "view", events.whole, models.Text, query=("service", "n")),
    Endpoint(
        "POST", f"{V1}/es/publish", "operate", events.publish, models.Published, models.Publish
    ),
    Endpoint("GET", f"{V1}/series/names", "view", plots.names, models.SeriesNames),
    Endpoint("GET", f"{V1}/operations/{{id}}", "view", acting.operation, models.Operation),
    Endpoint("POST", f"{V1}/reload", "configure", acting.reload, models.Begun, models.Reload),
)
