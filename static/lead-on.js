// Goes where the link <a data-lead-on> leads as soon as the page and its frames are loaded. Without
// scripts, or if a frame never loads, the user presses it.

addEventListener("load", () => {
  const link = document.querySelector("a[data-lead-on]");
  if (link) location.replace(link.href);
});
