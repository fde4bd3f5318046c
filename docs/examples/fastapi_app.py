"""A FastAPI backend that accepts access tokens of Gatehouse."""

import os
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

ISSUER = os.environ["GATEHOUSE_URL"]
AUDIENCE = os.environ.get("GATEHOUSE_AUDIENCE", ISSUER)
ALGORITHMS = ["ES256"]
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json")
app = FastAPI()


def claims_of(
    credentials: Annotated[
        HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
    ],
) -> dict[str, Any]:
    if credentials is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    token = credentials.credentials
    try:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        return jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=ALGORITHMS,
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub"]},
        )
    except jwt.PyJWKClientConnectionError:
        raise HTTPException(503) from None
    except jwt.PyJWTError:
        raise HTTPException(
            401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
        ) from None


@app.get("/private")
def private(claims: Annotated[dict[str, Any], Depends(claims_of)]) -> dict[str, str]:
    return {"id": claims["sub"], "role": claims["role"]}
