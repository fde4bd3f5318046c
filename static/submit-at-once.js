// Sends a form as soon as its page is there: <form data-submit-at-once>. Without scripts the user
// presses its button.

document.querySelector("form[data-submit-at-once]")?.submit();
