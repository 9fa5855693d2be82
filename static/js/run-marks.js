// What an event says of a step, shown at once on the page's badges, boxes and rows.

/** @param {string} state */
export const word = (state) => (state.charAt(0).toUpperCase() + state.slice(1)).replaceAll("_", " ");

/** Shows a state on every element of a step: box, row, strip. @param {string} selector @param {string} state */
export function mark(selector, state) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(selector))) {
    element.dataset.state = state;
    for (const icon of element.querySelectorAll(".c-icon")) {
      if (icon.hasAttribute("data-state")) icon.setAttribute("data-state", state);
      icon.toggleAttribute("data-spin", state === "running" && element.matches(".c-node"));
      const use = icon.querySelector("use");
      use?.setAttribute("href", `${(use.getAttribute("href") ?? "").split("#")[0]}#st-${state === "paused" ? "waiting" : state}`);
    }
    for (const text of element.querySelectorAll("[data-word]")) text.textContent = word(state);
  }
}

/** @param {string} step @param {{fraction?: number | null, text?: string}} data */
export function progress(step, data) {
  const box = document.querySelector(`.c-node[data-step="${step}"]`);
  const note = box?.querySelector("[data-note]");
  if (note && data.text) note.textContent = data.text.length > 20 ? `${data.text.slice(0, 19)}…` : data.text;
  if (typeof data.fraction !== "number") return;
  for (const bar of box?.querySelectorAll(".bar") ?? []) bar.removeAttribute("visibility");
  const bar = box?.querySelector("[data-bar]");
  bar?.setAttribute("width", String(Math.round(Number(bar.getAttribute("data-bar")) * data.fraction)));
}
