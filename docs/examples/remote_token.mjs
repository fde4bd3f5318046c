// A backend behind forward auth that believes the header Remote-Token only.
import { createServer } from "node:http";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const issuer = process.env.GATEHOUSE_URL;
const ownAddress = process.env.APP_URL; // https://app.example.com
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
  timeoutDuration: 5000, // without keys nobody is let in
  cooldownDuration: 30_000, // unknown key ids cause no flood of requests
  cacheMaxAge: 300_000, // keys are published a day before they sign
});
const ROLES = ["none", "viewer", "editor", "admin", "owner"];
const NO_KEYS = ["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"];

// The claims of the user, or null for a token that lets nobody in. Throws without keys.
async function whoAsks(request) {
  const [token, ...others] = request.headersDistinct["remote-token"] ?? [];
  if (!token || others.length > 0) return null;
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: ownAddress,
      algorithms: ["ES256", "RS256"], // a published key names its own
      typ: "fa+jwt",
      requiredClaims: ["exp", "iat", "sub"],
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError && !NO_KEYS.includes(error.code)) return null;
    throw error;
  }
}

async function respond(request, response) {
  const user = await whoAsks(request);
  if (user === null) return response.writeHead(401).end();
  if (ROLES.indexOf(user.role) < ROLES.indexOf("editor")) return response.writeHead(403).end();
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ id: user.sub, role: user.role }));
}

const server = createServer((request, response) => {
  respond(request, response).catch(() => response.writeHead(503).end());
});
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
