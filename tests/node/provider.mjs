// A certified OpenID provider for the tests: `node provider.mjs PORT`.
//
// Everybody who comes signs in at once as the person of his login_hint, and consents to everything.
// Access tokens are JWTs for the audience of their resource. POST /control/rotate makes a new signing
// key; with {"keep": true} the keys before it stay published. GET /control/fetched counts requests.
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const RESOURCE = "https://gatehouse.test";
const fetched = {};
let keys = [];
let answer;

async function newKey() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, use: "sig", alg: "RS256", kid: crypto.randomUUID() };
}

function claimsOf(id) {
  return { sub: id, email: `${id}@example.com`, email_verified: true, name: `Person ${id}` };
}

function resourceServer() {
  return {
    audience: RESOURCE,
    scope: "api:read",
    accessTokenFormat: "jwt",
    accessTokenTTL: 600,
    jwt: { sign: { alg: "RS256" } },
  };
}

async function grantOfEverything(ctx) {
  const { client, session, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid email profile");
  grant.addResourceScope(RESOURCE, "api:read");
  await grant.save();
  return grant;
}

function makeProvider() {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [
      { client_id: "page", token_endpoint_auth_method: "none", redirect_uris: [`${issuer}/back`] },
      {
        client_id: "robot",
        client_secret: "a secret of the tests",
        redirect_uris: [],
        response_types: [],
        grant_types: ["client_credentials"],
      },
    ],
    cookies: { keys: ["a key of the tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => claimsOf(id) }),
    // What Authentik and most others do: the claims about a person stand in the access token too.
    extraTokenClaims: (_ctx, token) => (token.accountId ? claimsOf(token.accountId) : {}),
    loadExistingGrant: grantOfEverything,
    interactions: { url: (_ctx, interaction) => `/control/sign-in/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: resourceServer,
      },
    },
  });
}

async function rotate(keepsOld) {
  keys = [await newKey(), ...(keepsOld ? keys : [])];
  const provider = makeProvider();
  answer = provider.callback();
  answer.provider = provider;
}

async function readJson(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

async function signIn(request, response) {
  const { provider } = answer;
  const { params } = await provider.interactionDetails(request, response);
  const result = { login: { accountId: params.login_hint }, consent: {} };
  await provider.interactionFinished(request, response, result);
}

async function control(request, response) {
  if (request.url.startsWith("/control/sign-in/")) return signIn(request, response);
  if (request.url === "/control/rotate") {
    const { keep = false } = await readJson(request);
    await rotate(keep);
  }
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ fetched, kids: keys.map((key) => key.kid) }));
}

async function handle(request, response) {
  if (request.url.startsWith("/control/")) return control(request, response);
  const [path] = request.url.split("?");
  fetched[path] = (fetched[path] ?? 0) + 1;
  return answer(request, response);
}

await rotate(false);
createServer((request, response) => {
  handle(request, response).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end();
  });
}).listen(port, "127.0.0.1");
