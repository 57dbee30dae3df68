"""All requests that can be made: the one list from which routes, roles and OpenAPI follow."""

from __future__ import annotations

from pyroctl.web.api import looking, models, signing_in
from pyroctl.web.api.call import Endpoint

V1 = "/api/v1"
OPEN = ""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("POST", "/session", OPEN, signing_in.sign_in, models.SignedIn, models.SignIn),
    Endpoint("DELETE", "/session", "view", signing_in.sign_out),
    Endpoint("GET", f"{V1}/status", "view", looking.status, models.Status),
    Endpoint("GET", f"{V1}/services/{{name}}", "view", looking.service),
    Endpoint("GET", f"{V1}/stream", "view", looking.stream, endless=True),
    Endpoint(
        "POST", f"{V1}/stream/{{id}}", "view", looking.choose_topics, models.Chosen, models.Topics
    ),
)
