// Verifies an access token by the published keys, once with jose and once with oauth4webapi, the
// library under openid-client; prints what each made of the right token and of a forged one.
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";

const [issuer, right, forged] = process.argv.slice(2);
const jwks = `${issuer}/.well-known/jwks.json`;
const keys = createRemoteJWKSet(new URL(jwks));
const server = { issuer, jwks_uri: jwks };

async function byJose(token) {
  const checks = { issuer, audience: issuer, algorithms: ["ES256"], typ: "at+jwt" };
  return (await jwtVerify(token, keys, checks)).payload.sub;
}

async function byOauth4webapi(token) {
  const request = new Request(`${issuer}/private`, { headers: { authorization: `Bearer ${token}` } });
  const options = { [oauth.allowInsecureRequests]: true };
  return (await oauth.validateJwtAccessToken(server, request, issuer, options)).sub;
}

const nameOfError = (check) => check.then(() => "accepted", (error) => error.constructor.name);

console.log(
  JSON.stringify({
    jose: await byJose(right),
    oauth4webapi: await byOauth4webapi(right),
    forged: [await nameOfError(byJose(forged)), await nameOfError(byOauth4webapi(forged))],
  }),
);
