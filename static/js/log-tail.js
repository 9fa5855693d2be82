// What a run's steps write, put at the end of the log that the page shows.

/**
 * @typedef {{step: string, index: number | null, attempt: number, number: number, at: string, stream: string,
 *            text: string}} LogChunk
 */
const MOST = 2000;

/** Appends lines to the log, unless they are there already or are not asked for. @param {LogChunk} chunk */
export function append(chunk) {
  const log = /** @type {HTMLElement | null} */ (document.querySelector("[data-log]"));
  const list = log?.querySelector("ol");
  if (!log || !list || chunk.stream === "token") return;
  if ("searched" in log.dataset || (log.dataset.only && log.dataset.only !== chunk.step)) return;
  const key = `${chunk.step}/${chunk.index ?? ""}/${chunk.attempt}/${chunk.number}`;
  if (list.querySelector(`[data-chunk="${CSS.escape(key)}"]`)) return;
  document.querySelector("#part-log [data-nothing]")?.remove();
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
  while (list.children.length > MOST) list.firstElementChild?.remove();
}
