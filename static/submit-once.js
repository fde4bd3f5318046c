// Sends a form once, however often its button is pressed: <form data-once>. The server refuses a
// second use anyway; this spares the user the page that says so.

const LONGEST_ANSWER_MS = 15000;

for (const form of document.querySelectorAll("form[data-once]")) {
  let isSent = false;
  const mark = (sent) => {
    isSent = sent;
    for (const button of form.querySelectorAll("button")) {
      if (sent) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  };
  form.addEventListener("submit", (event) => {
    if (isSent) return event.preventDefault();
    mark(true);
    // The page is still here: the answer was a download, or the user stopped waiting for it.
    setTimeout(() => mark(false), LONGEST_ANSWER_MS);
  });
  // Back shows the page as it was left.
  addEventListener("pageshow", (event) => { if (event.persisted) mark(false); });
}
