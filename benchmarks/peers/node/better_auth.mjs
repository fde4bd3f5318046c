// npm's better-auth as the benchmark asks it: `node better_auth.mjs PORT DATABASE PEOPLE`.
//
// Everything is in one SQLite file with the settings of Gatehouse. What differs from the defaults:
// links are stored hashed, as its documentation recommends; access tokens are ES256; limits stop
// nobody. A mail is a row of the table `outbox`, written before the answer.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { jwt, magicLink } from "better-auth/plugins";
import Database from "better-sqlite3";

const [port, path, people] = process.argv.slice(2);
const database = new Database(path);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = NORMAL");
database.exec("CREATE TABLE IF NOT EXISTS outbox (email TEXT NOT NULL, token TEXT NOT NULL)");
const keep = database.prepare("INSERT INTO outbox VALUES (?, ?)");

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  secret: "a-secret-of-the-benchmark-of-32-characters",
  database,
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: "error" },
  plugins: [
    jwt({ jwks: { keyPairConfig: { alg: "ES256" } } }),
    magicLink({
      storeToken: "hashed",
      expiresIn: 3600,
      sendMagicLink: async ({ email, token }) => {
        keep.run(email, token);
      },
    }),
  ],
});
await (await getMigrations(auth.options)).runMigrations();
const password = "seven green bottles on a wall";
for (let number = 0; number < Number(people); number += 1) {
  const email = `person${number}@example.com`;
  const context = await auth.$context;
  if (number === 0) {
    await auth.api.signUpEmail({ body: { email, password, name: email } });
    continue;
  }
  // The same hash for everyone: hashing is not what is prepared here.
  const user = await context.internalAdapter.createUser({ email, name: email, emailVerified: true });
  const first = database.prepare("SELECT password FROM account LIMIT 1").get();
  await context.internalAdapter.linkAccount({
    userId: user.id,
    providerId: "credential",
    accountId: user.id,
    password: first.password,
  });
}
database.exec("UPDATE user SET emailVerified = 1");

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length ? Buffer.concat(chunks) : undefined;
  const { method, url, headers } = request;
  const asked = new Request(`http://127.0.0.1:${port}${url}`, { method, headers, body });
  const given = await auth.handler(asked);
  const content = Buffer.from(await given.arrayBuffer());
  response.statusCode = given.status;
  for (const [name, value] of given.headers) response.appendHeader(name, value);
  response.setHeader("Content-Length", content.length);
  response.end(content);
}

createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500, { "Content-Length": 0 }).end();
  });
}).listen(Number(port), "127.0.0.1");
