// “/” puts the cursor into the search field, unless something is being typed.
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.closest("input, textarea, select, [contenteditable]")) return;
  const field = /** @type {HTMLInputElement | null} */ (document.getElementById("jump"));
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
});
