// npm's oidc-provider as the benchmark asks it: `node provider.mjs PORT [DATABASE]`.
//
// Without a database it keeps everything in memory. Whoever comes signs in at once as the person of
// the login_hint and allows everything; from then on the cookies of that browser are enough. The
// clients, scopes, claims, algorithm and lifetimes are those of the app in Gatehouse beside it.
import { createServer } from "node:http";
import { exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { makeAdapter } from "./sqlite_adapter.mjs";

const [port, database] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = await generateKeyPair("ES256", { extractable: true });
const key = { ...(await exportJWK(privateKey)), use: "sig", alg: "ES256", kid: "one" };

function claimsOf(sub) {
  const email = `${sub}@example.com`;
  return { sub, email, email_verified: true, name: sub, preferred_username: sub, locale: "en" };
}

const provider = new Provider(issuer, {
  ...(database ? { adapter: makeAdapter(database) } : {}),
  jwks: { keys: [key] },
  clients: [
    {
      client_id: "app",
      client_secret: "a-secret-of-the-benchmark",
      redirect_uris: ["https://wiki.example.com/callback"],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "client_secret_basic",
      id_token_signed_response_alg: "ES256",
    },
  ],
  cookies: { keys: ["a key of the benchmark"] },
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["name", "preferred_username", "locale"],
  },
  conformIdTokenClaims: false,
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => claimsOf(id) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  ttl: {
    AccessToken: 900,
    AuthorizationCode: 60,
    Grant: 604_800,
    IdToken: 900,
    Interaction: 600,
    RefreshToken: 604_800,
    Session: 2_592_000,
  },
});

async function interact(request, response) {
  const { params, session, prompt } = await provider.interactionDetails(request, response);
  let result = { login: { accountId: params.login_hint, remember: true } };
  if (prompt.name === "consent") {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope("openid profile email");
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

const answer = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return answer(request, response);
  interact(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
}).listen(Number(port), "127.0.0.1");
