import uPlot from "../vendor/uplot/uPlot.esm.js";

// Every 24-hour clock: [least step in seconds, format, then what is added where the year, day, minute or second changes].
const TIMES = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];
const COLOURS = ["blue", "orange", "green", "violet", "pink", "amber", "iris", "red"];

/**
 * `<series-chart data-lines='[{"label": "a", "points": [["2026-11-24T10:00:00Z", 1.5]]}]' data-threshold="2">`:
 * lines over time, with the thresholds of a rule across. What stands inside is for those without scripts.
 */
class SeriesChart extends HTMLElement {
  connectedCallback() {
    this.lines = JSON.parse(this.dataset.lines ?? "[]");
    this.resize = new ResizeObserver(() => this.fit());
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
    this.scheme.addEventListener("change", this.redraw);
    this.themes = new MutationObserver(this.redraw);
    this.themes.observe(document.documentElement, { attributeFilter: ["data-theme", "class"] });
    this.draw();
    this.resize.observe(this);
  }

  disconnectedCallback() {
    this.resize.disconnect();
    this.themes.disconnect();
    this.scheme.removeEventListener("change", this.redraw);
    this.plot?.destroy();
  }

  /** @returns {{width: number, height: number}} */
  size() {
    return { width: Math.max(200, this.clientWidth), height: Number(this.dataset.height ?? 240) };
  }

  fit() {
    this.plot?.setSize(this.size());
  }

  draw() {
    this.plot?.destroy();
    this.querySelector(":scope > span")?.remove();
    if (!this.lines.some((line) => line.points.length)) return;
    const limits = [["threshold", "red"], ["warn", "amber"]].filter(([name]) => this.dataset[name]);
    const data = this.table(limits.map(([name]) => Number(this.dataset[name])));
    const colour = this.palette();
    const axis = { stroke: colour("--ink-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const series = [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }];
    this.lines.forEach((line, n) => {
      series.push({ label: line.label, stroke: colour(`--${COLOURS[n % COLOURS.length]}-solid`), width: 1.5, points: { show: line.points.length < 2 } });
    });
    for (const [name, tint] of limits) series.push({ label: name, stroke: colour(`--${tint}-solid`), dash: [6, 4], width: 1, points: { show: false } });
    const options = {
      ...this.size(),
      series,
      scales: { y: { range: (plot, low, high) => this.range(low, high) } },
      axes: [{ ...axis, values: TIMES }, { ...axis, size: 64 }],
      legend: { show: this.lines.length <= 12 },
      cursor: { y: false },
    };
    this.plot = new uPlot(options, data, this);
  }

  /** A canvas knows no `light-dark()`, so the browser is asked what a property comes to now. */
  palette() {
    const probe = this.appendChild(document.createElement("span"));
    probe.hidden = true;
    return (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
  }

  range(low, high) {
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return [low - room, high + room];
  }

  /**
   * One column of times (seconds), one of values for each line (null where it has none), one for each limit.
   * @param {number[]} limits
   */
  table(limits) {
    const at = (text) => Date.parse(text) / 1000;
    const times = [...new Set(this.lines.flatMap((line) => line.points.map(([text]) => at(text))))].sort((a, b) => a - b);
    const place = new Map(times.map((time, n) => [time, n]));
    const columns = this.lines.map((line) => {
      const values = new Array(times.length).fill(undefined);
      for (const [text, value] of line.points) values[place.get(at(text))] = value;
      return values;
    });
    return [times, ...columns, ...limits.map((limit) => new Array(times.length).fill(limit))];
  }
}
customElements.define("series-chart", SeriesChart);
