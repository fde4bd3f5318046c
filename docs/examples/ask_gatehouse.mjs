import { createHash } from "node:crypto";
import { createServer } from "node:http";

const { GATEHOUSE_URL, GATEHOUSE_CLIENT_ID, GATEHOUSE_CLIENT_SECRET } = process.env;
const pair = [GATEHOUSE_CLIENT_ID, GATEHOUSE_CLIENT_SECRET].map(encodeURIComponent).join(":");
const authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
const sentAsToken = ["api_key", "access_token"];
const ROLES = ["none", "viewer", "editor", "admin", "owner"];
const keptMs = 5000;
const maxKept = 1000;
const kept = new Map();

// The claims of a credential, or null if it lets nobody in. Throws if Gatehouse cannot tell.
async function ask(token) {
  const key = createHash("sha256").update(token).digest("hex");
  const known = kept.get(key);
  if (known && known.until > Date.now()) return known.claims;
  const answer = await fetch(`${GATEHOUSE_URL}/api/v1/introspect`, {
    method: "POST",
    headers: { authorization },
    body: new URLSearchParams({ token }),
    redirect: "error",
    signal: AbortSignal.timeout(5000),
  });
  if (answer.status !== 200) throw new Error(`Gatehouse answered ${answer.status}`);
  const claims = await answer.json();
  if (claims.active !== true) return null;
  if (kept.size >= maxKept) kept.delete(kept.keys().next().value);
  const end = claims.exp === undefined ? Infinity : claims.exp * 1000;
  kept.set(key, { claims, until: Math.min(Date.now() + keptMs, end) });
  return claims;
}

function credentialOf(request) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  return scheme.toLowerCase() === "bearer" ? token : request.headers["x-api-key"];
}

async function respond(request, response) {
  const token = credentialOf(request);
  const user = token ? await ask(token) : null;
  if (user === null || !sentAsToken.includes(user.token_type)) {
    return response.writeHead(401, { "WWW-Authenticate": "Bearer" }).end();
  }
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
