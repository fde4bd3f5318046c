// Certified OpenID providers in the dress of others: `node signin.mjs PORT`.
//
// /application/o/gate/ looks like Authentik (a path and a slash, groups, no email_verified),
// /tenant/v2.0 like Microsoft (tid and oid, upn), /pool like Cognito (cognito:groups).
// POST /control/person {"dress", "claims"}: who signs in there from now on. Everybody consents.
// POST /control/site {"site"}: the address of Gatehouse. POST /control/rotate: new keys, old ones gone.
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const origin = `http://127.0.0.1:${port}`;
const DRESSES = {
  authentik: {
    path: "/application/o/gate",
    issuer: `${origin}/application/o/gate/`,
    callback: "/api/auth/callback/authentik",
    claims: { openid: ["sub"], email: ["email"], profile: ["name", "preferred_username", "groups"] },
  },
  azure: {
    path: "/tenant/v2.0",
    issuer: `${origin}/tenant/v2.0`,
    callback: "/api/auth/callback/microsoft-entra-id",
    claims: {
      openid: ["sub", "tid", "oid"],
      email: ["email"],
      profile: ["name", "preferred_username", "upn", "roles"],
    },
  },
  cognito: {
    path: "/pool",
    issuer: `${origin}/pool`,
    callback: "/api/auth/callback/cognito",
    claims: {
      openid: ["sub", "cognito:groups", "cognito:username"],
      email: ["email", "email_verified"],
      profile: ["name"],
    },
  },
};
const people = {};
const answers = {};
let site = "http://localhost:8000";
let keys = [];

async function newKeys() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk = await exportJWK(privateKey);
  keys = [{ ...jwk, use: "sig", alg: "RS256", kid: crypto.randomUUID() }];
}

async function grantOfEverything(ctx) {
  const { client, session, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid email profile");
  await grant.save();
  return grant;
}

function makeProvider(dress) {
  const { issuer, path, callback, claims } = DRESSES[dress];
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: "gatehouse",
        client_secret: "a secret: of/the+tests",
        redirect_uris: [`${site}${callback}`],
        post_logout_redirect_uris: [`${site}/sign-in`],
      },
    ],
    cookies: { keys: ["a key of the tests"] },
    claims,
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ ...people[dress], sub: id }) }),
    loadExistingGrant: grantOfEverything,
    interactions: { url: (_ctx, interaction) => `${path}/control/sign-in/${interaction.uid}` },
    features: { devInteractions: { enabled: false } },
  });
  answers[dress] = { provider, answer: provider.callback() };
}

async function dressAll() {
  for (const dress of Object.keys(DRESSES)) makeProvider(dress);
}

async function readJson(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

async function control(request, response) {
  const said = await readJson(request);
  if (request.url === "/control/person") people[said.dress] = said.claims;
  if (request.url === "/control/site") site = said.site;
  if (request.url === "/control/rotate") await newKeys();
  if (request.url !== "/control/person") await dressAll();
  response.setHeader("Content-Type", "application/json");
  response.end("{}");
}

async function handle(request, response) {
  if (request.url.startsWith("/control/")) return control(request, response);
  const dress = Object.keys(DRESSES).find((name) => request.url.startsWith(DRESSES[name].path));
  if (!dress) {
    response.statusCode = 404;
    return response.end();
  }
  const { provider, answer } = answers[dress];
  request.originalUrl = request.url;
  request.url = request.url.slice(DRESSES[dress].path.length);
  if (request.url.startsWith("/control/sign-in/")) {
    const result = people[dress]
      ? { login: { accountId: people[dress].sub, remember: false }, consent: {} }
      : { error: "access_denied" };
    return provider.interactionFinished(request, response, result);
  }
  return answer(request, response);
}

await newKeys();
await dressAll();
createServer((request, response) => {
  handle(request, response).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end();
  });
}).listen(port, "127.0.0.1");
