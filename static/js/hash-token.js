/**
 * `<hash-token>` around a field: takes the token of a letter from behind the address's #, so that nobody has to paste
 * it, and clears it there, so that it stays in no history. Without a script the field is there to paste it into.
 */
class HashToken extends HTMLElement {
  connectedCallback() {
    const input = this.querySelector("input");
    if (!input) return;
    const token = HashToken.read(location.hash.slice(1));
    if (token) {
      input.value = token;
      history.replaceState(history.state, "", location.pathname + location.search);
    }
    if (token || this.hasAttribute("data-filled")) this.fold(input);
  }

  /** Some mail programs escape what stands there, and some break it. @param {string} text */
  static read(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  /** What is filled in needs no field to look at. @param {HTMLInputElement} input */
  fold(input) {
    const field = /** @type {HTMLElement | null} */ (input.closest(".c-field"));
    const said = /** @type {HTMLElement | null} */ (this.querySelector("[data-said]"));
    if (field) field.hidden = true;
    if (said) said.hidden = false;
  }
}
customElements.define("hash-token", HashToken);
