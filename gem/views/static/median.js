/** The median beat, with boundaries that can be moved by pointer and keys. */

import { clamp, h, refill, svg } from "./dom.js";
import { BOUNDARY_NAMES } from "./edits.js";
import { decode, Lead } from "./signal.js";

const HEIGHT = 250;
const ORDER = ["p_onset", "p_offset", "qrs_onset", "qrs_offset", "t_offset"];
const SHORT = { p_onset: "P on", p_offset: "P end", qrs_onset: "QRS on", qrs_offset: "QRS end", t_offset: "T end" };
const LEAST_MS = 4; // between neighbouring boundaries
// where a boundary that was not measured is offered, ms after the R; it counts once a person has set it
const OFFERED_MS = { p_onset: -200, p_offset: -100, qrs_onset: -45, qrs_offset: 50, t_offset: 340 };

export class MedianBeat {
  /** @param {{preview: Function, moved: Function}} hooks both with (boundary, ms) */
  constructor(hooks) {
    this.hooks = hooks;
    this.drawing = svg("svg", { height: HEIGHT, role: "group", "aria-label": "Median beat with its boundaries" });
    this.select = h("select", { onchange: () => this.draw() });
    this.missing = h("span", { class: "bar", role: "group", "aria-label": "Boundaries that were not measured" });
    this.element = h("div", {}, h("div", { class: "bar" }, h("label", {}, "Lead", this.select), this.missing), this.drawing);
    this.offered = null; // the boundary that is to be set
    this.drawing.addEventListener("pointerdown", (event) => this.pointed(event));
    this.sized = new ResizeObserver(() => this.draw());
    this.sized.observe(this.element);
  }

  /** @param {object} median of a scene @param {object} boundaries ms, as they are now @param {object} moved those moved */
  set(median, boundaries, moved, lead) {
    if (this.median !== median) {
      this.leads = median.samples.map((text, row) => new Lead(median.leads[row], decode(text), median.fs, median.scale, median.offsets[row] || 0));
      const chosen = this.select.value || lead;
      refill(this.select, median.leads.map((name) => h("option", { value: name, selected: name === chosen }, name)));
    }
    Object.assign(this, { median, boundaries: { ...boundaries }, moved, offered: null });
    const missing = ORDER.filter((name) => typeof boundaries[name] !== "number");
    refill(this.missing, missing.map((name) => h("button", { type: "button", onclick: () => this.offer(name) }, `Set ${BOUNDARY_NAMES[name]}`)));
    this.draw();
  }

  /** Show a boundary that was not measured where it usually is, to be set there or elsewhere. */
  offer(name) {
    if (this.offered) this.boundaries[this.offered] = null;
    this.offered = name;
    this.boundaries[name] = this.allowed(name, OFFERED_MS[name]);
    this.draw();
    this.drawing.querySelector(`[data-boundary=${name}]`).focus();
    this.hooks.preview(name, this.boundaries[name]);
  }

  /** A boundary that is offered is set where the beat is pointed at. */
  pointed(event) {
    const name = this.offered;
    if (!name || event.button || event.target.closest(".boundary")) return;
    const ms = this.from + (event.clientX - this.drawing.getBoundingClientRect().left) / this.scale;
    this.hooks.moved(name, this.allowed(name, ms));
  }

  /** Horizontal place of a time, ms after the R. */
  xOf(ms) {
    return (ms - this.from) * this.scale;
  }

  draw() {
    const width = this.element.clientWidth;
    if (!width || !this.median) return;
    const { fs, r_s: r } = this.median;
    const length = (this.leads[0].steps.length / fs) * 1000;
    this.from = -r * 1000;
    this.scale = width / length;
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    let [low, high] = [Infinity, -Infinity];
    for (const lead of this.leads) {
      for (let i = 0; i < lead.steps.length; i++) {
        const value = lead.value(i);
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const up = (HEIGHT - 56) / Math.max(0.5, high - low);
    const y = (value) => 28 + (high - value) * up;
    const parts = [];
    for (let ms = Math.ceil(this.from / 40) * 40; ms < this.from + length; ms += 40) {
      parts.push(svg("line", { class: ms % 200 ? "thin" : "thick", x1: this.xOf(ms), x2: this.xOf(ms), y1: 0, y2: HEIGHT }));
    }
    for (let mv = Math.ceil((low - 1) * 2) / 2; mv < high + 1; mv += 0.5) {
      parts.push(svg("line", { class: "thick", x1: 0, x2: width, y1: y(mv), y2: y(mv) }));
    }
    const line = (lead) => {
      let d = "";
      for (let i = 0; i < lead.steps.length; i++) {
        const value = lead.value(i);
        if (!Number.isNaN(value)) d += `${d ? "L" : "M"}${((i / fs) * 1000 * this.scale).toFixed(1)} ${y(value).toFixed(1)}`;
      }
      return d;
    };
    const chosen = this.leads.find((lead) => lead.name === this.select.value) || this.leads[0];
    for (const lead of this.leads) if (lead !== chosen) parts.push(svg("path", { class: "faint", d: line(lead) }));
    parts.push(svg("path", { class: "strong", d: line(chosen) }));
    const focused = this.drawing.getRootNode().activeElement;
    const focus = focused && focused.getAttribute && focused.getAttribute("data-boundary");
    ORDER.filter((name) => typeof this.boundaries[name] === "number").forEach((name) => parts.push(this.handle(name)));
    this.drawing.replaceChildren(...parts);
    if (focus) this.drawing.querySelector(`[data-boundary=${focus}]`)?.focus();
  }

  handle(name) {
    const top = ORDER.indexOf(name) % 2 === 0;
    const element = svg(
      "g",
      {
        class: `boundary${name in this.moved || name === this.offered ? " moved" : ""}`,
        tabindex: "0",
        role: "slider",
        "data-boundary": name,
        "aria-label": `${BOUNDARY_NAMES[name]}, ms after the R`,
        "aria-valuemin": Math.round(this.from),
        "aria-valuemax": Math.round(this.from + this.element.clientWidth / this.scale),
        onkeydown: (event) => this.key(event, name),
      },
      svg("line", { class: "grab", y1: 0, y2: HEIGHT }),
      svg("line", { y1: 0, y2: HEIGHT }),
      svg("rect", { x: -27, y: top ? 3 : HEIGHT - 21, width: 54, height: 18, rx: 4 }),
      svg("text", { y: top ? 16 : HEIGHT - 8 }, SHORT[name]),
    );
    this.place(element, name);
    let start = null;
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      element.focus({ preventScroll: true });
      start = { x: event.clientX, ms: this.boundaries[name] };
      event.preventDefault();
    });
    element.addEventListener("pointermove", (event) => {
      if (!start) return;
      this.boundaries[name] = this.allowed(name, start.ms + (event.clientX - start.x) / this.scale);
      this.place(element, name);
      this.hooks.preview(name, this.boundaries[name]);
    });
    const end = () => {
      if (start && (start.ms !== this.boundaries[name] || name === this.offered)) this.hooks.moved(name, this.boundaries[name]);
      start = null;
    };
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
    return element;
  }

  place(element, name) {
    const ms = this.boundaries[name];
    element.setAttribute("transform", `translate(${this.xOf(ms).toFixed(2)} 0)`);
    element.setAttribute("aria-valuenow", Math.round(ms));
    element.setAttribute("aria-valuetext", `${Math.round(ms)} ms`);
  }

  key(event, name) {
    if (name === this.offered && ["Enter", " "].includes(event.key)) {
      event.preventDefault();
      this.hooks.moved(name, this.boundaries[name]);
    }
    const step = (event.shiftKey ? 10 : 1) * ({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key] || 0);
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const ms = this.allowed(name, this.boundaries[name] + step);
    if (ms === this.boundaries[name]) return;
    this.boundaries[name] = ms; // at once: a second press may come before Python has answered
    this.hooks.moved(name, ms);
  }

  /** A time that keeps the order of the boundaries. */
  allowed(name, ms) {
    const known = ORDER.filter((other) => other === name || typeof this.boundaries[other] === "number");
    const k = known.indexOf(name);
    const low = k > 0 ? this.boundaries[known[k - 1]] + LEAST_MS : this.from;
    const high = k < known.length - 1 ? this.boundaries[known[k + 1]] - LEAST_MS : this.from + this.element.clientWidth / this.scale;
    return Math.round(clamp(ms, low, high) * 10) / 10;
  }

  destroy() {
    this.sized.disconnect();
  }
}
