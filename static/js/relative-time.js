/** `<relative-time>` around a `<time>`: keeps “4 min ago” true while the page stands open. */
class RelativeTime extends HTMLElement {
  connectedCallback() {
    RelativeTime.all.add(this);
  }

  disconnectedCallback() {
    RelativeTime.all.delete(this);
  }

  update() {
    const time = this.querySelector("time");
    const seconds = Math.floor((Date.now() - Date.parse(time?.dateTime ?? "")) / 1000);
    const text = RelativeTime.text(seconds);
    if (time && text && time.textContent !== text) time.textContent = text;
  }

  /**
   * The same words as the server's; older times stay as the server wrote them.
   * @param {number} seconds
   */
  static text(seconds) {
    if (!(seconds >= 0) || seconds >= 86400) return "";
    if (seconds < 5) return "just now";
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return `${Math.floor(seconds / 3600)} h ago`;
  }
}
/** @type {Set<RelativeTime>} */
RelativeTime.all = new Set();
setInterval(() => RelativeTime.all.forEach((one) => one.update()), 10_000);
customElements.define("relative-time", RelativeTime);
