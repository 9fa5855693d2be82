/** `<confirm-form>` around a form and a `<dialog>`: asks before it sends. Without a script the form sends at once. */
class ConfirmForm extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    const dialog = this.querySelector("dialog");
    if (!form || !dialog) return;
    form.addEventListener("submit", (event) => {
      if (dialog.returnValue === "yes") return;
      event.preventDefault();
      dialog.showModal();
    });
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "yes") form.requestSubmit();
    });
    dialog.addEventListener("click", (event) => {
      const answer = /** @type {HTMLElement} */ (event.target).closest("[data-answer]");
      if (answer) dialog.close(/** @type {HTMLElement} */ (answer).dataset.answer);
    });
  }
}
customElements.define("confirm-form", ConfirmForm);
