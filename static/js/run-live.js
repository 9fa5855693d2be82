/**
 * `<run-live src after>`: follows a run's events. Badges and boxes change at once from what an event says; the parts
 * of the page are fetched again soon after, so that they are right whatever an event did not say.
 *
 * @typedef {{number: number, kind: string, step: string | null, index: number | null,
 *            data: {fraction?: number | null, text?: string}}} RunEvent
 */
import { append } from "./log-tail.js";
import { mark, progress, word } from "./run-marks.js";

const SOON = 400;
const RETRY = 3000;
const ENDS = new Set(["run.succeeded", "run.failed", "run.cancelled", "run.timed_out"]);

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
    this.source.addEventListener("log", (frame) => append(JSON.parse(frame.data)));
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
      if (state === "progress") progress(event.step, event.data);
      else if (state !== "note") mark(`[data-step="${event.step}"]`, state);
      if (state !== "progress" && state !== "note") this.announce(`${event.step}: ${word(state)}`);
    } else if (what === "run") {
      mark("#part-header .c-badge", state);
      this.announce(`The run: ${word(state)}`);
    }
    if (ENDS.has(event.kind)) this.end();
    else this.soon();
  }

  soon() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.refresh(["header", "graph", "steps"]);
    }, SOON);
  }

  /** Fetches parts of the page again; one whose dialog is open waits. @param {string[]} [names] */
  refresh(names = ["header", "graph", "steps", "log", "result", "step"]) {
    for (const name of names) {
      const part = document.getElementById(`part-${name}`);
      if (!part?.querySelector("dialog[open]")) part?.dispatchEvent(new Event("refresh"));
    }
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    this.source?.close();
    this.refresh();
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
