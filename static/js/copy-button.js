/** `<copy-button for="id">` around a button: copies the text of that element, and says so. */
class CopyButton extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    if (!button || !navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(this.getAttribute("for") ?? "");
      if (!source) return;
      await navigator.clipboard.writeText(source.textContent ?? "");
      this.say("Copied");
    });
  }

  /** @param {string} text */
  say(text) {
    const status = document.createElement("span");
    status.className = "u-hide";
    status.setAttribute("role", "status");
    status.textContent = text;
    this.append(status);
    this.dataset.done = "";
    setTimeout(() => {
      status.remove();
      delete this.dataset.done;
    }, 2000);
  }
}
customElements.define("copy-button", CopyButton);
