// Offers the time zone of the browser on the account page. Without this script the list is enough.
const list = document.querySelector("select[data-offers-zone]");
const button = document.querySelector("button[data-takes-zone]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isKnown = list && Array.from(list.options).some((option) => option.value === zone);

// Without a choice the zone of the server applies.
if (button && isKnown && (list.value || list.dataset.offersZone) !== zone) {
  button.querySelector("b").textContent = zone;
  list.after(button.parentElement);
  button.parentElement.hidden = false;
  button.addEventListener("click", () => {
    list.value = zone;
    button.parentElement.hidden = true;
    list.focus();
  });
}
