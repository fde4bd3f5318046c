// An Express backend that accepts access tokens of Gatehouse.
import express from "express";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const issuer = process.env.GATEHOUSE_URL;
const audience = process.env.GATEHOUSE_AUDIENCE ?? issuer;
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
const NO_KEYS = ["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"];

async function authenticate(request, response, next) {
  const [scheme, token] = (request.get("authorization") ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer") {
    return response.status(401).set("WWW-Authenticate", "Bearer").end();
  }
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: ["ES256"],
      typ: "at+jwt",
      requiredClaims: ["exp", "iat", "sub"],
    });
    request.user = { id: payload.sub, role: payload.role };
    next();
  } catch (error) {
    const isWrong = error instanceof errors.JOSEError && !NO_KEYS.includes(error.code);
    if (!isWrong) return response.status(503).end(); // so that clients keep their token
    response.status(401).set("WWW-Authenticate", 'Bearer error="invalid_token"').end();
  }
}

const app = express();
app.get("/private", authenticate, (request, response) => response.json(request.user));
const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
