/**
 * `<schema-search data-index data-page>` around a search form and a tree of tables: fetches the names of all tables and
 * columns once, and narrows the tree at each key without asking the server. Without it the form asks the server.
 */
const MAX_SHOWN = 300;

class SchemaSearch extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input[type=search]");
    this.tree = this.querySelector("ul");
    this.found = this.querySelector("[data-found]");
    if (!this.input || !this.tree) return;
    this.input.addEventListener("focus", () => this.load(), { once: true });
    this.input.addEventListener("input", () => this.load().then(() => this.narrow()));
  }

  load() {
    this.loading ??= fetch(this.dataset.index, { headers: { Accept: "application/json" } })
      .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
      .then(({ tables }) => {
        this.tables = tables.map(([schema, name, rows, columns]) => ({
          schema, name, rows, text: `${schema}.${name}`.toLowerCase(), columns: columns.toLowerCase(),
        }));
      })
      .catch(() => { this.loading = undefined; });
    return this.loading;
  }

  narrow() {
    if (!this.tables) return;
    const wanted = this.input.value.trim().toLowerCase();
    const named = [], holding = [];
    for (const table of this.tables) {
      if (table.text.includes(wanted)) named.push(table);
      else if (table.columns.includes(wanted)) holding.push(table);
    }
    const all = named.concat(holding);
    this.show(all.slice(0, MAX_SHOWN));
    const more = all.length > MAX_SHOWN ? `, the first ${MAX_SHOWN} are shown` : "";
    this.found.textContent = all.length ? `${all.length} found${more}.` : `Nothing matches “${this.input.value}”.`;
  }

  show(tables) {
    const groups = new Map();
    for (const table of tables) {
      if (!groups.has(table.schema)) groups.set(table.schema, []);
      groups.get(table.schema).push(table);
    }
    this.tree.replaceChildren(...[...groups].map(([schema, inside]) => this.group(schema, inside)));
    window.htmx?.process(this.tree);
  }

  group(schema, tables) {
    const item = document.createElement("li"), details = document.createElement("details");
    const summary = document.createElement("summary"), list = document.createElement("ul");
    details.open = true;
    summary.append(schema, this.mute(tables.length));
    list.append(...tables.map((table) => this.entry(table)));
    details.append(summary, list);
    item.append(details);
    return item;
  }

  entry(table) {
    const item = document.createElement("li"), link = document.createElement("a"), name = document.createElement("span");
    const query = new URLSearchParams({ search: this.input.value, table: `${table.schema}.${table.name}` });
    link.href = `${this.dataset.page}?${query}`;
    link.setAttribute("hx-get", link.getAttribute("href"));
    link.setAttribute("hx-target", "#schema");
    link.setAttribute("hx-push-url", "true");
    name.className = "u-trunc";
    name.textContent = table.name;
    link.append(name, this.mute(table.rows ?? ""));
    item.append(link);
    return item;
  }

  mute(text) {
    const span = document.createElement("span");
    span.className = "u-mute";
    span.textContent = String(text);
    return span;
  }
}
customElements.define("schema-search", SchemaSearch);
