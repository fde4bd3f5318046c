// An app that signs a person in with openid-client: `node relying_party.mjs ISSUER CLIENT SECRET`,
// or `node relying_party.mjs ISSUER register TOKEN` if it registers itself first.
//
// Prints the address for the browser; reads where the browser was sent back; prints what it learnt.
import { createInterface } from "node:readline/promises";
import * as client from "openid-client";

const [issuer, clientId, secret] = process.argv.slice(2);
const callback = "https://wiki.example.com/callback";
const options = { execute: [client.allowInsecureRequests] };
const bye = "https://wiki.example.com/bye";
const metadata = {
  client_name: "Wiki",
  redirect_uris: [callback],
  post_logout_redirect_uris: [bye],
  logo_uri: `${callback}.png`,
};
const config = await (clientId === "register"
  ? client.dynamicClientRegistration(new URL(issuer), metadata, undefined, {
      ...options,
      initialAccessToken: secret,
    })
  : client.discovery(new URL(issuer), clientId, secret, undefined, options));
const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: callback,
  scope: "openid profile email groups",
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  max_age: "3600",
  state,
  nonce,
});
const lines = createInterface({ input: process.stdin });
console.log(address.href);
const back = new URL((await lines[Symbol.asyncIterator]().next()).value);
lines.close();

const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 3600 };
const tokens = await client.authorizationCodeGrant(config, back, checks);
const claims = tokens.claims();
const about = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const next = await client.refreshTokenGrant(config, tokens.refresh_token);
const end = client.buildEndSessionUrl(config, {
  id_token_hint: next.id_token,
  post_logout_redirect_uri: bye,
});
await client.tokenRevocation(config, next.refresh_token);
const afterwards = await client
  .fetchUserInfo(config, next.access_token, claims.sub)
  .then(() => "accepted", (error) => error.code);
console.log(
  JSON.stringify({
    claims: [claims.email, claims.groups, claims.amr],
    about: about.email,
    isNew: next.refresh_token !== tokens.refresh_token,
    end: end.href,
    afterwards,
  }),
);
