/** `<theme-toggle>` around a button: switches between light and dark, and remembers it. */
class ThemeToggle extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", () => this.switch());
  }

  /** Turn to the theme that is not shown now. */
  switch() {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const theme = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    root.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Storage is switched off: the choice lasts until the next page.
    }
  }
}

customElements.define("theme-toggle", ThemeToggle);
