/** The whole recording in one narrow strip, with a window where the stage is. */

import { clamp, clock, h } from "./dom.js";

export class Navigator {
  /** @param {(second: number) => void} go told of the time that the stage is to begin at */
  constructor(go) {
    this.go = go;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.element = h(
      "div",
      { class: "overview", role: "slider", tabindex: "0", "aria-label": "Place in the recording", "aria-valuemin": "0" },
      this.canvas,
    );
    this.ctx = this.canvas.getContext("2d");
    this.from = this.to = 0;
    const jump = (event) => {
      const box = this.element.getBoundingClientRect();
      const second = ((event.clientX - box.left) / box.width) * this.duration;
      this.go(clamp(second - (this.to - this.from) / 2, 0, this.duration - (this.to - this.from)));
    };
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      jump(event);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) jump(event);
    });
    this.element.addEventListener("keydown", (event) => {
      const page = this.to - this.from;
      const steps = { ArrowLeft: -page / 4, ArrowRight: page / 4, PageUp: -page, PageDown: page };
      const goal = event.key === "Home" ? 0 : event.key === "End" ? this.duration : this.from + (steps[event.key] || NaN);
      if (Number.isNaN(goal)) return;
      event.preventDefault();
      event.stopPropagation();
      this.go(clamp(goal, 0, Math.max(0, this.duration - page)));
    });
  }

  recolour(colours) {
    this.colours = colours;
    this.trace = null;
    this.paint();
  }

  /** @param {object} lead whose trace stands for the recording */
  set(lead, duration) {
    Object.assign(this, { lead, duration });
    this.trace = null;
    this.element.setAttribute("aria-valuemax", duration.toFixed(1));
    this.move(this.from, this.to);
  }

  /** The stretch that the stage shows. */
  move(from, to) {
    Object.assign(this, { from, to });
    this.element.setAttribute("aria-valuenow", from.toFixed(1));
    this.element.setAttribute("aria-valuetext", `${clock(from, this.duration > 60)} to ${clock(to, this.duration > 60)}`);
    this.paint();
  }

  paint() {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    if (!width || !this.lead) return;
    const ratio = window.devicePixelRatio || 1;
    if (!this.trace || this.trace.width !== Math.round(width * ratio)) this.trace = this.drawn(width, height, ratio);
    [this.canvas.width, this.canvas.height] = [this.trace.width, this.trace.height];
    this.ctx.drawImage(this.trace, 0, 0);
    this.ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const x0 = (this.from / this.duration) * width;
    const x1 = Math.max(x0 + 3, (this.to / this.duration) * width);
    this.ctx.fillStyle = this.colours.mark;
    this.ctx.fillRect(x0, 0, x1 - x0, height);
    this.ctx.strokeStyle = this.colours.edge;
    this.ctx.lineWidth = 1.5;
    this.ctx.strokeRect(x0, 1, x1 - x0, height - 2);
  }

  drawn(width, height, ratio) {
    const canvas = h("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const ctx = canvas.getContext("2d");
    const pairs = this.lead.extremes(0, this.lead.steps.length / canvas.width, canvas.width);
    let [low, high] = [Infinity, -Infinity];
    const known = pairs.filter((value, k) => pairs[k - (k % 2)] <= pairs[k - (k % 2) + 1]).sort();
    if (known.length) [low, high] = [known[Math.floor(known.length * 0.01)], known[Math.ceil(known.length * 0.99) - 1]];
    const scale = (0.8 * canvas.height) / Math.max(1, high - low);
    ctx.fillStyle = this.colours.trace;
    for (let k = 0; k < canvas.width; k++) {
      const [a, b] = [pairs[2 * k], pairs[2 * k + 1]];
      if (a <= b) ctx.fillRect(k, canvas.height * 0.9 - (b - low) * scale, 1, Math.max(ratio, (b - a) * scale));
    }
    return canvas;
  }
}
