// The reference of the API: searches in the page, and copies examples. No dependency.
// Without it the page is complete. Its texts are in templates/api/reference.html.

const form = document.querySelector("[data-search]");
const field = form.querySelector("input");
const said = form.querySelector("[role=status]");
const operations = [...document.querySelectorAll(".api-operation")].map((details) => {
  const { id } = details.querySelector(".api-body");
  return { details, id, entry: document.querySelector(`[data-of="${id}"]`), text: details.textContent.toLowerCase() };
});

const sections = [...document.querySelectorAll(".api-main > section")].map((section) => ({
  section,
  entry: document.querySelector(`.api-index a[href="#${section.id}"]`).parentElement,
  isGroup: section.querySelector(".api-operation") !== null,
  text: section.textContent.toLowerCase(),
}));

function matches({ text }, words) {
  return words.every((word) => text.includes(word));
}

function sentence(count) {
  if (count === 0) return form.dataset.none;
  return count === 1 ? form.dataset.one : form.dataset.many.replace("%d", count);
}

function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const operation of operations) {
    const isFound = matches(operation, words);
    operation.details.hidden = operation.entry.hidden = !isFound;
    count += isFound;
  }
  for (const each of sections) {
    const isFound = each.isGroup
      ? each.section.querySelector(".api-operation:not([hidden])") !== null
      : matches(each, words);
    each.section.hidden = each.entry.hidden = !isFound;
  }
  said.textContent = words.length ? sentence(count) : "";
}

function open(event) {
  event.preventDefault();
  const first = operations.find(({ details }) => !details.hidden);
  if (!field.value.trim() || !first) return;
  first.details.open = true;
  first.details.scrollIntoView();
  first.details.querySelector("summary").focus();
}

// The clipboard is only for pages over HTTPS; elsewhere the selection is copied.
async function copy(code) {
  if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
  getSelection().selectAllChildren(code);
  return document.execCommand("copy");
}

function addCopyButton(pre) {
  const button = document.getElementById("copy-button").content.firstElementChild.cloneNode(true);
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await copy(pre.querySelector("code"));
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
  const frame = document.createElement("div");
  frame.className = "api-frame";
  pre.replaceWith(frame);
  frame.append(pre, button);
}

document.querySelectorAll(".api-code").forEach(addCopyButton);
field.addEventListener("input", search);
form.addEventListener("submit", open);
// A link to an operation that the search hides shows everything again.
addEventListener("hashchange", () => {
  if (document.querySelector(":target")?.closest("[hidden]")) { field.value = ""; search(); }
});
form.hidden = false;
