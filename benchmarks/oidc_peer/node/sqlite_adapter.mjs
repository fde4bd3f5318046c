// What oidc-provider stores, in one table of SQLite: what its documentation asks of an adapter.
import Database from "better-sqlite3";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS artifact (
    model TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, grant_id TEXT, uid TEXT,
    user_code TEXT, expires_at INTEGER, consumed_at INTEGER, PRIMARY KEY (model, id)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS artifact_grant ON artifact (grant_id) WHERE grant_id IS NOT NULL;
  CREATE INDEX IF NOT EXISTS artifact_uid ON artifact (model, uid) WHERE uid IS NOT NULL;
  CREATE INDEX IF NOT EXISTS artifact_code ON artifact (model, user_code)
    WHERE user_code IS NOT NULL;
`;
const now = () => Math.floor(Date.now() / 1000);

// As Gatehouse has it: a write-ahead log, and no wait for the disk at each commit.
export function makeAdapter(path) {
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  database.exec(SCHEMA);
  const prepare = (text) => database.prepare(text);
  const select = "SELECT payload, expires_at, consumed_at FROM artifact WHERE model = ? AND";
  const statements = {
    upsert: prepare(`INSERT INTO artifact VALUES (?, ?, ?, ?, ?, ?, ?, NULL)
      ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload,
        grant_id = excluded.grant_id, uid = excluded.uid, user_code = excluded.user_code,
        expires_at = excluded.expires_at`),
    byId: prepare(`${select} id = ?`),
    byUid: prepare(`${select} uid = ?`),
    byUserCode: prepare(`${select} user_code = ?`),
    consume: prepare("UPDATE artifact SET consumed_at = ? WHERE model = ? AND id = ?"),
    destroy: prepare("DELETE FROM artifact WHERE model = ? AND id = ?"),
    revoke: prepare("DELETE FROM artifact WHERE grant_id = ?"),
  };

  return class SQLiteAdapter {
    constructor(model) {
      this.model = model;
    }

    async upsert(id, payload, expiresIn) {
      const { grantId = null, uid = null, userCode = null } = payload;
      const ends = expiresIn ? now() + expiresIn : null;
      const text = JSON.stringify(payload);
      statements.upsert.run(this.model, id, text, grantId, uid, userCode, ends);
    }

    #read(row) {
      if (!row || (row.expires_at !== null && row.expires_at <= now())) return undefined;
      const payload = JSON.parse(row.payload);
      return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at };
    }

    async find(id) {
      return this.#read(statements.byId.get(this.model, id));
    }

    async findByUid(uid) {
      return this.#read(statements.byUid.get(this.model, uid));
    }

    async findByUserCode(userCode) {
      return this.#read(statements.byUserCode.get(this.model, userCode));
    }

    async consume(id) {
      statements.consume.run(now(), this.model, id);
    }

    async destroy(id) {
      statements.destroy.run(this.model, id);
    }

    async revokeByGrantId(grantId) {
      statements.revoke.run(grantId);
    }
  };
}
