// Two apps that sign people in with Auth.js: `node authjs.mjs PORT RECIPE PORT RECIPE`, the first
// with next-auth 4, the second with @auth/core, which is what next-auth 5 consists of. The recipes
// are modules that export `gatehouse`, as docs/openid-recipes/libraries.md has it.
//
// Auth.js leaves it to the app to renew tokens and to sign people out at the provider.
import { Auth } from "@auth/core";
import express from "express";
import nextAuth from "next-auth";

const [oldPort, oldRecipe, newPort, newRecipe] = process.argv.slice(2);
const issuer = process.env.ISSUER;
const secret = "a secret of the apps in the tests";

const metadata = async () => (await fetch(`${issuer}/.well-known/openid-configuration`)).json();

async function renewed(token, provider) {
  const basic = Buffer.from(`${provider.clientId}:${provider.clientSecret}`).toString("base64");
  const answer = await fetch((await metadata()).token_endpoint, {
    method: "POST",
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: token.refresh }),
  });
  const given = await answer.json();
  if (!answer.ok) return { error: given.error };
  return { ...token, refresh: given.refresh_token, renewals: token.renewals + 1 };
}

// Each look at the session renews the token, as if it had expired.
const configuration = (provider) => ({
  secret,
  providers: [provider],
  callbacks: {
    jwt: ({ token, account, profile }) =>
      account
        ? { ...token, refresh: account.refresh_token, groups: profile.groups, renewals: 0 }
        : renewed(token, provider),
    session: ({ token }) => ({
      email: token.email,
      groups: token.groups,
      renewals: token.renewals,
      error: token.error,
    }),
  },
});

function app(port, provider, handle) {
  const site = express();
  site.get("/", (request, response) => response.json({ home: true }));
  site.get("/leave", async (request, response) => {
    const after = { client_id: provider.clientId, post_logout_redirect_uri: `http://127.0.0.1:${port}/` };
    response.redirect(`${(await metadata()).end_session_endpoint}?${new URLSearchParams(after)}`);
  });
  site.use("/api/auth", handle);
  return new Promise((resolve) => site.listen(Number(port), "127.0.0.1", resolve));
}

const oldProvider = (await import(oldRecipe)).gatehouse;
process.env.NEXTAUTH_URL = `http://127.0.0.1:${oldPort}`;
const old = nextAuth.default(configuration(oldProvider));
const cookies = (header = "") =>
  Object.fromEntries(
    header.split("; ").map((pair) => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))];
    }),
  );
await app(oldPort, oldProvider, [
  express.urlencoded({ extended: false }),
  (request, response) => {
    const url = new URL(request.url, "http://app.invalid");
    const path = url.pathname.split("/").filter(Boolean);
    const asked = {
      method: request.method,
      headers: request.headers,
      body: request.body,
      cookies: cookies(request.headers.cookie),
      query: { ...Object.fromEntries(url.searchParams), nextauth: path },
    };
    return old(asked, response);
  },
]);

const newProvider = (await import(newRecipe)).gatehouse;
await app(newPort, newProvider, [
  express.text({ type: () => true }),
  async (request, response) => {
    const asked = new Request(`http://127.0.0.1:${newPort}${request.originalUrl}`, {
      method: request.method,
      headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      body: request.method === "POST" ? request.body : undefined,
    });
    const given = await Auth(asked, {
      ...configuration(newProvider),
      basePath: "/api/auth",
      trustHost: true,
    });
    response.status(given.status);
    for (const [name, value] of given.headers) if (name !== "set-cookie") response.set(name, value);
    response.set("set-cookie", given.headers.getSetCookie());
    response.send(await given.text());
  },
]);
