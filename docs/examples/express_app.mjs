// An Express backend that accepts access tokens of Gatehouse.
import express from "express";
import { createRemoteJWKSet, jwtVerify } from "jose";

const issuer = process.env.GATEHOUSE_URL;
const audience = process.env.GATEHOUSE_AUDIENCE ?? issuer;
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));

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
  } catch {
    response.status(401).set("WWW-Authenticate", 'Bearer error="invalid_token"').end();
  }
}

const app = express();
app.get("/private", authenticate, (request, response) => response.json(request.user));
const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
