/**
 * `<open-dialog>` around a link (`data-open`) and a `<dialog>`: the link opens the dialog, into which htmx fetches what
 * the link leads to. Without a script the link leads there. When something changed inside, the page is loaded again.
 */
class OpenDialog extends HTMLElement {
  connectedCallback() {
    const dialog = this.querySelector("dialog");
    if (!dialog) return;
    this.querySelector("[data-open]")?.addEventListener("click", (event) => {
      event.preventDefault();
      if (!dialog.open) dialog.showModal();
    });
    dialog.addEventListener("click", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (target === dialog || target.closest("[data-close]")) dialog.close();
    });
    dialog.addEventListener("close", () => {
      if (dialog.querySelector("[data-changed]")) location.reload();
    });
  }
}
customElements.define("open-dialog", OpenDialog);
