/** The table of a folder: only the rows in sight are elements, so that thousands of rows scroll, sort and filter at once. */

import { h, refill } from "./dom.js";
import { get } from "./server.js";

const ROW_PX = 34;
const SPARE_ROWS = 12;
const LOOK_MS = 700; // while recordings are being measured
/** @type {Array<[string, string, number]>} column of the server, its heading, decimals (-1 for text) */
const SHOWN = [
  ["file", "Recording", -1],
  ["heart_rate_bpm", "Rate, bpm", 0],
  ["pr_ms", "PR, ms", 0],
  ["qrs_ms", "QRS, ms", 0],
  ["qt_ms", "QT, ms", 0],
  ["qtc_fridericia_ms", "QTc, ms", 0],
  ["axis_deg", "Axis, \u00b0", 0],
  ["conflicts", "Conflicts", 0],
  ["findings", "Findings", -1],
  ["quality", "Quality", -1],
];

export class FolderTable {
  /** @param {HTMLElement} element @param {(row: number, name: string) => void} open */
  constructor(element, open) {
    Object.assign(this, { open, rows: [], known: 0, measured: 0, sortBy: "file", down: false, seen: [] });
    this.title = h("h2", { id: "folder-title" }, "Folder");
    this.progress = h("p", { class: "quiet", role: "status" });
    const again = () => this.arrange();
    this.words = h("input", { id: "filter", type: "search", autocomplete: "off", placeholder: "name, finding, quality ...", oninput: again });
    this.only = h("select", { id: "only", onchange: again },
      [["", "all"], ["conflicts", "report and measurement conflict"], ["findings", "with findings"], ["issues", "quality issues"], ["error", "can't be read"], ["waiting", "not measured yet"]]
        .map(([value, words]) => h("option", { value }, words)));
    this.low = h("input", { id: "low", inputmode: "decimal", size: "4", "aria-label": "lowest rate, bpm", oninput: again });
    this.high = h("input", { id: "high", inputmode: "decimal", size: "4", "aria-label": "highest rate, bpm", oninput: again });
    this.heads = SHOWN.map(([name, words]) => h("th", { scope: "col", "aria-sort": "none" },
      h("button", { type: "button", onclick: () => this.sort(name) }, words)));
    this.body = h("tbody", {});
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.table = h("table", { class: "folder", "aria-rowcount": "0" }, h("caption", { class: "hidden" }, "Recordings of the folder"), h("thead", {}, h("tr", {}, this.heads)), this.body);
    this.frame = h("div", { class: "frame", tabindex: "0", role: "region", "aria-label": "Table of the folder", onscroll: () => this.draw() }, this.table);
    this.count = h("span", { role: "status" });
    refill(element, this.title, this.progress,
      h("div", { class: "row" }, h("label", { for: "filter" }, "Filter"), this.words, h("label", { for: "only" }, "Show"), this.only,
        h("span", {}, "Rate ", this.low, " to ", this.high), this.count),
      this.frame);
    element.hidden = false;
    this.look();
  }

  /** Ask for what is new, until all is measured. */
  async look() {
    try {
      const part = await get(`/api/folder?names=${this.rows.length}&rows=${this.known}`);
      for (const name of part.names) this.rows.push({ row: this.rows.length, file: name, lower: name.toLowerCase(), state: "waiting" });
      for (const [row, ...values] of part.rows) this.fill(row, part.columns, values);
      this.known += part.rows.length;
      this.title.textContent = `Folder ${part.name}`;
      const left = part.total - part.measured;
      this.progress.textContent = !part.listed ? "listing ..." : left ? `${part.measured} of ${part.total} measured` : `${part.total} recordings, all measured`;
      if (part.names.length || part.rows.length) this.arrange();
      const more = this.rows.length < part.total || this.known < part.measured;
      if (more) setTimeout(() => this.look(), 0);
      else if (!part.listed || left) setTimeout(() => this.look(), LOOK_MS);
    } catch (error) {
      this.progress.textContent = error.message;
      setTimeout(() => this.look(), 10 * LOOK_MS);
    }
  }

  fill(row, columns, values) {
    const one = this.rows[row];
    if (!one) return;
    columns.slice(1).forEach((name, k) => { one[name] = values[k]; });
    const normal = (name) => name.startsWith("normal_");
    const found = (one.findings || "").split("; ");
    one.findings = [...found.filter((name) => !normal(name)), ...found.filter(normal)].join("; "); // what is normal comes last
    one.state = one.error ? "error" : "measured";
    one.quality = one.error || [one.issues, one.unusable_leads && `not usable: ${one.unusable_leads}`].filter(Boolean).join("; ");
    one.lower = `${one.file} ${one.findings || ""} ${one.quality} ${one.report || ""}`.toLowerCase().replaceAll("_", " ");
  }

  sort(name) {
    this.down = this.sortBy === name ? !this.down : false;
    this.sortBy = name;
    this.arrange();
  }

  /** Filter and sort. */
  arrange() {
    const words = this.words.value.toLowerCase().replaceAll("_", " ").split(/\s+/).filter(Boolean);
    const only = this.only.value;
    const bound = (input) => (input.value.trim() === "" || Number.isNaN(Number(input.value)) ? null : Number(input.value));
    const [low, high] = [bound(this.low), bound(this.high)];
    this.seen = this.rows.filter((one) =>
      words.every((word) => one.lower.includes(word)) &&
      (!only || (only === "waiting" ? one.state === "waiting" : only === "issues" ? one.quality && !one.error : Boolean(one[only]))) &&
      (low === null || one.heart_rate_bpm >= low) && (high === null || one.heart_rate_bpm <= high));
    const [name, sign] = [this.sortBy, this.down ? -1 : 1];
    const empty = (value) => value === null || value === undefined || value === "";
    this.seen.sort((a, b) => {
      if (empty(a[name]) || empty(b[name])) return empty(a[name]) - empty(b[name]) || a.row - b.row; // what is missing comes last
      return sign * (typeof a[name] === "number" ? a[name] - b[name] : a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0) || a.row - b.row;
    });
    this.heads.forEach((head, k) => head.setAttribute("aria-sort", SHOWN[k][0] !== name ? "none" : this.down ? "descending" : "ascending"));
    this.count.textContent = `${this.seen.length} of ${this.rows.length}`;
    this.table.setAttribute("aria-rowcount", String(this.seen.length + 1));
    this.draw();
  }

  /** The rows in sight, between two that are as high as all others. */
  draw() {
    const first = Math.max(0, Math.floor(this.frame.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(this.seen.length, first + Math.ceil(this.frame.clientHeight / ROW_PX) + 2 * SPARE_ROWS);
    const held = document.activeElement?.dataset?.row;
    const gap = (rows) => {
      const cell = h("td", { colspan: String(SHOWN.length) });
      cell.style.height = `${rows * ROW_PX}px`;
      return rows ? h("tr", { class: "gap", "aria-hidden": "true" }, cell) : null;
    };
    refill(this.body, gap(first), this.seen.slice(first, last).map((one, k) => this.line(one, first + k)), gap(this.seen.length - last));
    if (held !== undefined) this.body.querySelector(`[data-row="${held}"]`)?.focus({ preventScroll: true });
  }

  line(one, place) {
    const cells = SHOWN.slice(1).map(([name, , decimals]) => {
      const value = one[name];
      const text = value === null || value === undefined ? (one.state === "waiting" && name === "heart_rate_bpm" ? "..." : "") : decimals < 0 ? String(value).replaceAll("_", " ") : value.toFixed(decimals);
      return h("td", { class: decimals < 0 ? "words" : name === "conflicts" && value ? "number bad" : "number", title: decimals < 0 ? text : null }, text);
    });
    return h("tr", { "aria-rowindex": String(place + 2) },
      h("th", { scope: "row", title: one.file }, h("button", { type: "button", "data-row": String(one.row), "data-place": String(place), onclick: () => this.open(one.row, one.file) }, one.file)), cells);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    const place = Number(event.target.dataset.place);
    if (!step || Number.isNaN(place)) return;
    event.preventDefault();
    const next = Math.min(Math.max(place + step, 0), this.seen.length - 1);
    const top = next * ROW_PX;
    if (top < this.frame.scrollTop) this.frame.scrollTop = top;
    else if (top + 2 * ROW_PX > this.frame.scrollTop + this.frame.clientHeight) this.frame.scrollTop = top + 3 * ROW_PX - this.frame.clientHeight;
    this.draw();
    this.body.querySelector(`[data-place="${next}"]`)?.focus({ preventScroll: true });
  }
}
