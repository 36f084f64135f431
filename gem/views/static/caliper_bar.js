/** The calipers' button and their bar: tool on or off, reading, start and length as numbers, marching out. */

import { readingText } from "./calipers.js";
import { h } from "./dom.js";

export class CaliperBar {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {{lead: () => string, reveal: (second: number, lead: string) => void, say: (text: string) => void}} hooks
   *   lead: the one that was last chosen
   */
  constructor(stage, hooks) {
    Object.assign(this, { stage, hooks, unit: "" });
    this.end = "1"; // of the caliper, which the keys move
    const label = "Calipers: measure time and voltage (c)";
    this.button = h("button", { type: "button", "aria-label": label, title: label, "aria-pressed": "false", onclick: () => this.toggle() }, "Calipers");
    this.marching = h("input", { type: "checkbox", onchange: (event) => this.march(event.target.checked) });
    this.reading = h("output", {}, "Drag over the ECG");
    this.start = h("input", { type: "number", step: "0.01", min: "0", onchange: () => this.typed() });
    this.length = h("input", { type: "number", step: "1", min: "1", onchange: () => this.typed() });
    this.element = h(
      "div",
      { class: "bar caliper", role: "group", "aria-label": "Calipers", hidden: true },
      this.reading,
      h("label", {}, "from (s)", this.start),
      h("label", {}, "length (ms)", this.length),
      h("label", {}, this.marching, "march out"),
      h("button", { type: "button", "aria-label": "Remove the caliper", title: "Remove the caliper", onclick: () => this.set(null) }, "Remove"),
    );
  }

  /** Calipers on or off. */
  toggle() {
    const on = this.stage.tool !== "calipers";
    this.stage.tool = on ? "calipers" : "pan";
    this.button.setAttribute("aria-pressed", String(on));
    this.stage.element.classList.toggle("measuring", on);
    this.element.hidden = !on;
    this.stage.hooks.hovered(null); // no wave is pointed at
    if (!on) this.set(null);
    else this.hooks.say("Calipers on: drag over the ECG, or press the arrow keys");
  }

  march(on) {
    this.stage.march = on;
    this.marching.checked = on;
    this.stage.draw();
  }

  /** @param {?object} caliper see calipers.js */
  set(caliper) {
    this.stage.caliper = caliper;
    this.changed();
    this.stage.draw();
  }

  /** The stage's caliper is another. */
  changed() {
    const { caliper } = this.stage;
    this.reading.textContent = caliper ? `${caliper.lead}: ${readingText(caliper, this.unit)}` : "Drag over the ECG";
    this.start.value = caliper ? Math.min(caliper.t0, caliper.t1).toFixed(3) : "";
    this.length.value = caliper ? Math.round(Math.abs(caliper.t1 - caliper.t0) * 1000) : "";
  }

  /** By keys: move one end, or make a caliper where there is none. @param {number} seconds @param {number} mv */
  nudge(seconds, mv) {
    const caliper = { ...(this.stage.caliper || this.fresh()) };
    if (this.stage.caliper) {
      caliper[`t${this.end}`] += seconds;
      caliper[`v${this.end}`] += mv;
    }
    this.set(caliper);
    this.hooks.say(this.reading.textContent);
  }

  /** The keys move the other end from now on. */
  otherEnd() {
    this.end = this.end === "1" ? "0" : "1";
    this.hooks.say(`${this.end === "1" ? "second" : "first"} end of the caliper`);
  }

  typed() {
    const start = Number(this.start.value);
    const length = Number(this.length.value) / 1000;
    if (!(length > 0) || !Number.isFinite(start)) return;
    const caliper = this.stage.caliper || this.fresh();
    this.set({ ...caliper, t0: start, t1: start + length });
    this.hooks.reveal(start, caliper.lead);
  }

  /** 200 ms in the middle of what is in sight, in the lead that was last chosen. */
  fresh() {
    const { stage } = this;
    const number = Math.max(0, stage.plan.panels.findIndex((panel) => panel.lead === this.hooks.lead()));
    const panel = stage.plan.panels[number];
    const [from, to] = stage.visible(panel);
    const middle = (from + to) / 2;
    return { lead: panel.lead, panel: number, t0: middle - 0.1, t1: middle + 0.1, v0: panel.zero, v1: panel.zero };
  }
}
