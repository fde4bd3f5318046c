// The buttons of templates/elements/copy_button.html and of pages that are printed. Without this
// script they stay hidden: a field or a code is selected by hand.

function select(element) {
  element.focus?.();
  if (element.select) return element.select();
  getSelection().selectAllChildren(element);
}

// The clipboard is only for pages over HTTPS; elsewhere the selection is copied.
async function copy(element) {
  const text = element.value ?? element.innerText;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    select(element);
    return document.execCommand("copy");
  }
}

function prepare(button) {
  const target = document.getElementById(button.dataset.copies);
  const status = button.nextElementSibling;
  const text = button.textContent;
  button.addEventListener("click", async () => {
    const result = (await copy(target)) ? button.dataset.done : button.dataset.selected;
    button.textContent = status.textContent = result;
    setTimeout(() => { button.textContent = text; status.textContent = ""; }, 3000);
  });
  if (target.readOnly) target.addEventListener("click", () => target.select());
  button.parentElement.hidden = false;
}

document.querySelectorAll("[data-copies]").forEach(prepare);
for (const button of document.querySelectorAll("[data-prints]")) {
  button.addEventListener("click", () => print());
  button.hidden = false;
}
