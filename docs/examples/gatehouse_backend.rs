//! A backend that admits editors of Gatehouse: by Remote-Token behind forward auth, by access
//! token and by API key.

use jsonwebtoken::{decode, decode_header, jwk::Jwk, Algorithm, DecodingKey, Validation};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::env::var;
use std::io::Read;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tiny_http::{Header, Request, Response, Server};

const KEPT: Duration = Duration::from_secs(5); // for so long an answer is used again
const REFUSED: Duration = Duration::from_secs(1);
const MAX_KEPT: usize = 1000;
const FRESH: Duration = Duration::from_secs(300); // keys are published a day before they sign
const RETRY: Duration = Duration::from_secs(30); // unknown key ids cause no flood of requests
const STALE: Duration = Duration::from_secs(3600); // while Gatehouse does not answer
const MAX_TOKEN: usize = 8192;
const MAX_ANSWER: u64 = 256 * 1024;

enum Failure {
    Refused,     // 401: the credential lets nobody in
    Unavailable, // 503: it could not be checked
}
use Failure::{Refused, Unavailable};

#[derive(Default)]
struct Keys {
    by_name: HashMap<String, (Algorithm, DecodingKey)>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

/// Verifies credentials of one Gatehouse. `issuer`: PUBLIC_URL of Gatehouse, exactly.
struct Gate {
    issuer: String,
    authorization: String,
    agent: ureq::Agent,
    answers: Mutex<HashMap<[u8; 32], (Value, Instant)>>,
    keys: Mutex<Keys>,
}

impl Gate {
    fn new(issuer: &str, client_id: &str, client_secret: &str) -> Self {
        // Ids and secrets of Gatehouse consist of letters, digits and `_`, which need no escape.
        let pair = base64::encode(format!("{client_id}:{client_secret}"));
        Gate {
            issuer: issuer.into(),
            authorization: format!("Basic {pair}"),
            agent: ureq::builder()
                .timeout(Duration::from_secs(5))
                .redirects(0)
                .build(),
            answers: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// Asks Gatehouse whose credential it is (RFC 7662).
    fn ask(&self, credential: &str) -> Result<Value, Failure> {
        if credential.is_empty() || credential.len() > MAX_TOKEN {
            return Err(Refused);
        }
        let digest: [u8; 32] = Sha256::digest(credential).into(); // no credential is kept
        let known = self.answers.lock().unwrap().get(&digest).cloned();
        let claims = match known {
            Some((claims, until)) if Instant::now() < until => claims,
            _ => {
                let request = self
                    .agent
                    .post(&format!("{}/api/v1/introspect", self.issuer));
                let request = request.set("Authorization", &self.authorization);
                let claims = read(request.send_form(&[("token", credential)]))?;
                self.keep(digest, &claims);
                claims
            }
        };
        if claims["active"] == true {
            Ok(claims)
        } else {
            Err(Refused)
        }
    }

    fn keep(&self, digest: [u8; 32], claims: &Value) {
        let mut seconds = if claims["active"] == true {
            KEPT
        } else {
            REFUSED
        };
        if let Some(end) = claims["exp"].as_u64() {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            seconds = seconds.min(Duration::from_secs(end).saturating_sub(now));
        }
        let mut answers = self.answers.lock().unwrap();
        if answers.len() >= MAX_KEPT {
            answers.clear();
        }
        answers.insert(digest, (claims.clone(), Instant::now() + seconds));
    }

    /// Verifies a JWT offline. `kind`: at+jwt for access tokens, whose audience is the issuer
    /// unless JWT_AUDIENCE is set; fa+jwt for Remote-Token, whose audience is the app.
    fn verify(&self, token: &str, kind: &str, audience: &str) -> Result<Value, Failure> {
        if token.len() > MAX_TOKEN {
            return Err(Refused);
        }
        let header = decode_header(token).map_err(|_| Refused)?;
        let is_kind = header.typ.as_deref() == Some(kind);
        let kid = header.kid.filter(|_| is_kind).ok_or(Refused)?;
        // The algorithm of the published key decides, not that of the header.
        let (algorithm, key) = self.key(&kid)?;
        let mut rules = Validation::new(algorithm);
        rules.leeway = 0;
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[audience]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(decode::<Value>(token, &key, &rules)
            .map_err(|_| Refused)?
            .claims)
    }

    /// The key, from the kept set or a new one.
    fn key(&self, kid: &str) -> Result<(Algorithm, DecodingKey), Failure> {
        let mut keys = self.keys.lock().unwrap();
        let is_within =
            |moment: Option<Instant>, span| moment.is_some_and(|at| at.elapsed() < span);
        let is_known = is_within(keys.fetched, FRESH) && keys.by_name.contains_key(kid);
        if !is_known && !is_within(keys.tried, RETRY) {
            keys.tried = Some(Instant::now());
            let address = format!("{}/.well-known/jwks.json", self.issuer);
            match read(self.agent.get(&address).call()) {
                Ok(set) => {
                    keys.by_name = public_keys(&set);
                    keys.fetched = keys.tried;
                }
                // There is nothing to use meanwhile, so the next request tries again.
                Err(_) if !is_within(keys.fetched, STALE) => keys.tried = None,
                Err(_) => {}
            }
        }
        if !is_within(keys.fetched, STALE) {
            return Err(Unavailable);
        }
        keys.by_name.get(kid).cloned().ok_or(Refused)
    }

    /// Finds out who sends a request. What is there and wrong is refused, never ignored.
    fn user(&self, request: &Request) -> Result<Value, Failure> {
        let sent = |name: &'static str| -> Vec<&str> {
            let found = request
                .headers()
                .iter()
                .filter(|each| each.field.equiv(name));
            found.map(|each| each.value.as_str()).collect()
        };
        // https://app.example.com, if forward auth stands before this backend.
        if let Ok(app_url) = var("APP_URL") {
            match sent("Remote-Token")[..] {
                [] => {}
                [token] => return self.verify(token, "fa+jwt", &app_url),
                _ => return Err(Refused),
            }
        }
        let credential = match (&sent("X-API-Key")[..], &sent("Authorization")[..]) {
            ([key], []) => key,
            ([], [text]) => match text.split_once(' ') {
                Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest,
                _ => return Err(Refused),
            },
            _ => return Err(Refused),
        };
        // Offline, a ban counts when the token expires; asking, after five seconds at most.
        if var("GATEHOUSE_OFFLINE").as_deref() == Ok("1") && !credential.starts_with("gth_") {
            return self.verify(credential, "at+jwt", &self.issuer);
        }
        let claims = self.ask(credential)?;
        // A refresh token or the cookie of a session is no credential of a request.
        match claims["token_type"].as_str() {
            Some("api_key" | "access_token") => Ok(claims),
            _ => Err(Refused),
        }
    }
}

fn read(answer: Result<ureq::Response, ureq::Error>) -> Result<Value, Failure> {
    let answer = answer.map_err(|_| Unavailable)?;
    if answer.status() != 200 {
        return Err(Unavailable);
    }
    serde_json::from_reader(answer.into_reader().take(MAX_ANSWER)).map_err(|_| Unavailable)
}

/// The keys by id. Those of kinds that are not known here are left out.
fn public_keys(set: &Value) -> HashMap<String, (Algorithm, DecodingKey)> {
    let listed = set["keys"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let usable = listed.iter().filter(|each| each["use"] == "sig");
    let read_key = |each: &Value| {
        let algorithm = match (each["alg"].as_str()?, each["kty"].as_str()?) {
            ("ES256", "EC") => Algorithm::ES256,
            ("RS256", "RSA") => Algorithm::RS256,
            _ => return None,
        };
        let jwk: Jwk = serde_json::from_value(each.clone()).ok()?;
        Some((
            each["kid"].as_str()?.into(),
            (algorithm, DecodingKey::from_jwk(&jwk).ok()?),
        ))
    };
    usable.filter_map(read_key).collect()
}

fn rank(user: &Value) -> Option<usize> {
    let role = user["role"].as_str()?;
    ["viewer", "editor", "admin", "owner"]
        .iter()
        .position(|each| *each == role)
}

fn respond(gate: &Gate, request: Request) {
    let (status, body) = match gate.user(&request) {
        Err(Refused) => (401, String::new()),
        Err(Unavailable) => (503, String::new()), // not 401, so that clients keep their credential
        Ok(user) if rank(&user) < Some(1) => (403, String::new()),
        Ok(user) => {
            let told = serde_json::json!({"id": user["sub"], "role": user["role"]});
            (200, told.to_string())
        }
    };
    let mut response = Response::from_string(body).with_status_code(status);
    if status == 401 {
        response.add_header(Header::from_bytes("WWW-Authenticate", "Bearer").unwrap());
    }
    let _ = request.respond(response);
}

fn main() {
    let setting = |name: &str| var(name).unwrap_or_default();
    let gate = Gate::new(
        &setting("GATEHOUSE_URL"),
        &setting("GATEHOUSE_CLIENT_ID"),
        &setting("GATEHOUSE_CLIENT_SECRET"),
    );
    let server = Server::http(format!("127.0.0.1:{}", setting("PORT"))).expect("the port is free");
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                server
                    .incoming_requests()
                    .for_each(|each| respond(&gate, each))
            });
        }
    });
}
