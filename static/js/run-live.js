/**
 * `<run-live src after>`: follows a run's events. Badges and boxes change at once from what an event says; the parts
 * of the page are fetched again soon after, so that they are right whatever an event did not say.
 *
 * @typedef {{number: number, kind: string, step: string | null, index: number | null,
 *            data: {fraction?: number | null, text?: string}}} RunEvent
 * @typedef {{step: string, index: number | null, attempt: number, number: number, at: string, stream: string,
 *            text: string}} LogChunk
 */
const SOON = 400;
const RETRY = 3000;
const ENDS = new Set(["run.succeeded", "run.failed", "run.cancelled", "run.timed_out"]);

/** @param {string} state */
const word = (state) => (state.charAt(0).toUpperCase() + state.slice(1)).replaceAll("_", " ");

class RunLive extends HTMLElement {
  connectedCallback() {
    this.last = Number(this.getAttribute("after") ?? 0);
    this.ended = false;
    this.follow();
  }

  disconnectedCallback() {
    this.source?.close();
  }

  follow() {
    this.source = new EventSource(`${this.getAttribute("src")}?after=${this.last}`);
    this.source.addEventListener("open", () => {
      this.say("ok", `Live, event ${this.last}`);
      // Lines written between the page and this moment are in no frame.
      this.refresh(["log"]);
    });
    this.source.addEventListener("message", (frame) => this.take(JSON.parse(frame.data)));
    this.source.addEventListener("log", (frame) => this.write(JSON.parse(frame.data)));
    this.source.addEventListener("error", () => this.lost());
  }

  /** The browser tries again by itself unless the answer was none: then the page says whether the run has ended. */
  lost() {
    if (this.ended) return;
    this.say("warning", "Reconnecting");
    if (this.source?.readyState !== EventSource.CLOSED) return;
    this.refresh();
    setTimeout(() => (document.querySelector("#part-header [data-ended]") ? this.end() : this.follow()), RETRY);
  }

  /** @param {RunEvent} event */
  take(event) {
    if (this.ended || event.number <= this.last) return;
    this.last = event.number;
    this.say("ok", `Live, event ${event.number}`);
    const [what, state] = event.kind.split(".");
    if (what === "step" && event.step && event.index === null) {
      if (state === "progress") this.progress(event.step, event.data);
      else if (state !== "note") this.mark(`[data-step="${event.step}"]`, state);
      if (state !== "progress" && state !== "note") this.announce(`${event.step}: ${word(state)}`);
    } else if (what === "run") {
      this.mark("#part-header .c-badge", state);
      this.announce(`The run: ${word(state)}`);
    }
    if (ENDS.has(event.kind)) this.end();
    else this.soon();
  }

  /** Shows a state on every element of a step: box, row, strip. @param {string} selector @param {string} state */
  mark(selector, state) {
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(selector))) {
      element.dataset.state = state;
      for (const icon of element.querySelectorAll(".c-icon")) {
        if (icon.hasAttribute("data-state")) icon.setAttribute("data-state", state);
        icon.toggleAttribute("data-spin", state === "running" && element.matches(".c-node"));
        const use = icon.querySelector("use");
        use?.setAttribute("href", `${(use.getAttribute("href") ?? "").split("#")[0]}#st-${state}`);
      }
      for (const text of element.querySelectorAll("[data-word]")) text.textContent = word(state);
    }
  }

  /** @param {string} step @param {RunEvent["data"]} data */
  progress(step, data) {
    const box = document.querySelector(`.c-node[data-step="${step}"]`);
    const note = box?.querySelector("[data-note]");
    if (note && data.text) note.textContent = data.text.length > 20 ? `${data.text.slice(0, 19)}…` : data.text;
    if (typeof data.fraction !== "number") return;
    for (const bar of box?.querySelectorAll(".bar") ?? []) bar.removeAttribute("visibility");
    const bar = box?.querySelector("[data-bar]");
    bar?.setAttribute("width", String(Math.round(Number(bar.getAttribute("data-bar")) * data.fraction)));
  }

  /** Appends lines to the log, unless they are there already or are not asked for. @param {LogChunk} chunk */
  write(chunk) {
    const log = /** @type {HTMLElement | null} */ (document.querySelector("[data-log]"));
    const list = log?.querySelector("ol");
    if (!log || !list || chunk.stream === "token") return;
    if ("searched" in log.dataset || (log.dataset.only && log.dataset.only !== chunk.step)) return;
    const key = `${chunk.step}/${chunk.index ?? ""}/${chunk.attempt}/${chunk.number}`;
    if (list.querySelector(`[data-chunk="${CSS.escape(key)}"]`)) return;
    list.querySelector("[data-nothing]")?.remove();
    const name = chunk.index === null ? chunk.step : `${chunk.step}[${chunk.index}]`;
    for (const line of chunk.text.replace(/\n$/, "").split("\n")) {
      const row = document.createElement("li");
      row.dataset.chunk = key;
      row.dataset.stream = chunk.stream;
      for (const [tag, kind, text] of [
        ["time", "", chunk.at.slice(11, 19)], ["span", "c-log__lvl", chunk.stream],
        ["span", "c-log__step", name], ["span", "c-log__text", line],
      ]) row.append(Object.assign(document.createElement(tag), { className: kind, textContent: text }));
      list.append(row);
    }
    while (list.children.length > 2000) list.firstElementChild?.remove();
  }

  soon() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.refresh(["header", "graph", "steps"]);
    }, SOON);
  }

  /** Fetches parts of the page again; one whose dialog is open waits. @param {string[]} [names] */
  refresh(names = ["header", "graph", "steps", "log", "result", "step"]) {
    for (const name of names) document.getElementById(`part-${name}`)?.dispatchEvent(new Event("refresh"));
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.source?.close();
    this.refresh();
    for (const part of document.querySelectorAll("[data-while-open]")) part.remove();
    this.say("", "Ended");
  }

  /** @param {string} state @param {string} text */
  say(state, text) {
    const shown = /** @type {HTMLElement} */ (this.querySelector("[data-connection]"));
    shown.dataset.state = state || "pending";
    shown.textContent = text;
  }

  /** @param {string} text */
  announce(text) {
    const status = this.querySelector("[data-announce]");
    if (status) status.textContent = text;
  }
}
customElements.define("run-live", RunLive);
