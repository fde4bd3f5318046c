// Passkeys: asks the browser, tells the server, says what went wrong. No dependency.
// The page brings addresses and texts: templates/accounts/_passkey_button.html.

const REARM_MILLISECONDS = 4 * 60 * 1000; // before the server's question ends
const PROBLEMS = {
  NotAllowedError: "cancelled",
  InvalidStateError: "exists",
  SecurityError: "host",
};
// The offer inside the login field waits in the background; only one request may wait at a time.
let offered = null;

class Problem extends Error {}

function toBytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function toText(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function prepared(options) {
  const result = { ...options, challenge: toBytes(options.challenge) };
  if (options.user) result.user = { ...options.user, id: toBytes(options.user.id) };
  for (const list of ["allowCredentials", "excludeCredentials"]) {
    if (options[list]) result[list] = options[list].map((each) => ({ ...each, id: toBytes(each.id) }));
  }
  return result;
}

function asJSON(credential) {
  const given = credential.response;
  const response = { clientDataJSON: toText(given.clientDataJSON) };
  if (given.attestationObject) {
    response.attestationObject = toText(given.attestationObject);
    response.transports = given.getTransports?.() ?? [];
  } else {
    response.authenticatorData = toText(given.authenticatorData);
    response.signature = toText(given.signature);
    if (given.userHandle?.byteLength) response.userHandle = toText(given.userHandle);
  }
  const id = toText(credential.rawId);
  return { id, rawId: id, type: credential.type, response, clientExtensionResults: {} };
}

async function post(box, url, body) {
  const texts = JSON.parse(box.dataset.texts);
  let answer;
  try {
    answer = await fetch(url, {
      method: "POST",
      credentials: "same-origin",
      headers: {
        Accept: "application/json",
        "Content-Type": "application/json",
        "X-CSRF-Token": box.dataset.token,
      },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Problem(texts.offline);
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(content.detail || texts.failed);
  return content;
}

async function finish(box, credential) {
  const answer = asJSON(credential);
  if (!box.dataset.finish) {
    const form = box.closest("form");
    form.elements.namedItem("passkey").value = JSON.stringify(answer);
    form.submit();
    return;
  }
  const name = box.closest("form")?.elements.namedItem("name")?.value;
  const body = name === undefined ? { credential: answer } : { credential: answer, name };
  const { next } = await post(box, box.dataset.finish, body);
  window.location.assign(next);
}

async function ask(box, extra = {}) {
  const purpose = box.dataset.passkey;
  const publicKey = prepared(await post(box, box.dataset.options, { purpose }));
  const method = purpose === "add" ? "create" : "get";
  return navigator.credentials[method]({ publicKey, ...extra });
}

function show(box, text) {
  const place = box.querySelector("[data-passkey-problem]");
  place.className = text ? "notice bad" : "";
  place.textContent = text;
}

function explain(box, error) {
  if (error instanceof Problem) return error.message;
  const texts = JSON.parse(box.dataset.texts);
  return texts[PROBLEMS[error.name] ?? "unsupported"];
}

async function start(box, button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const texts = JSON.parse(box.dataset.texts);
  show(box, "");
  if (window.location.origin !== box.dataset.site) return show(box, texts.host);
  if (!window.isSecureContext) return show(box, texts.insecure);
  const form = box.closest("form");
  if (box.dataset.passkey === "add" && form && !form.reportValidity()) return;
  button.setAttribute("aria-disabled", "true");
  offered?.abort();
  try {
    await finish(box, await ask(box));
  } catch (error) {
    show(box, explain(box, error));
    button.focus();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// A passkey beside saved passwords in the list of the login field, where the browser can.
async function offer(box) {
  if (window.location.origin !== box.dataset.site) return;
  if (!(await window.PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const waiting = new AbortController();
  offered = waiting;
  let late = false;
  const rearm = setTimeout(() => {
    late = true;
    waiting.abort();
  }, REARM_MILLISECONDS);
  try {
    const credential = await ask(box, { mediation: "conditional", signal: waiting.signal });
    await finish(box, credential);
  } catch (error) {
    // Nobody has asked for this: only what follows a choice in the list is worth a word.
    if (error instanceof Problem && !waiting.signal.aborted) show(box, error.message);
  } finally {
    clearTimeout(rearm);
  }
  if (late && offered === waiting) offer(box);
}

for (const box of document.querySelectorAll("[data-passkey]")) {
  const isElsewhere = window.location.origin !== box.dataset.site;
  if (!window.PublicKeyCredential && !isElsewhere) {
    const missing = box.parentElement.querySelector("[data-passkey-missing]");
    if (missing) missing.hidden = false;
    continue;
  }
  const button = box.querySelector("[data-passkey-start]");
  button.addEventListener("click", () => start(box, button));
  box.closest("[data-passkey-form]")?.addEventListener("submit", (event) => {
    event.preventDefault();
    start(box, button);
  });
  box.hidden = false;
  if (box.dataset.passkey === "sign-in" && window.PublicKeyCredential) offer(box);
}
