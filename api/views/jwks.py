"""/.well-known/jwks.json: the public keys of access tokens."""

import hashlib
import json

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

from api.errors import MethodNotAllowed
from api.tokens.signing_keys import published_keys
from core.web.problem_details import problem_of

# Less than the minimum of JWT_KEY_PUBLISH_AHEAD, so that caches have a key before it signs.
MAX_AGE_SECONDS = 300


def key_set(request: HttpRequest) -> HttpResponseBase:
    """Return the JSON Web Key Set (RFC 7517), readable from every origin."""
    if request.method not in ("GET", "HEAD"):
        refusal = problem_of(MethodNotAllowed())
        refusal["Allow"] = "GET, HEAD"
        return refusal
    body = json.dumps({"keys": published_keys()}, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(body, content_type="application/json", headers={"ETag": etag})
    response["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
    response["Access-Control-Allow-Origin"] = "*"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return get_conditional_response(request, etag=etag, response=response) or response
