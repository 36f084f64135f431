/** The median beat of the view: boundaries moved by hand, what follows from them, undo and export. */

import { h, refill } from "./dom.js";
import { BOUNDARY_NAMES, originals, provenance, recomputed } from "./edits.js";
import { MedianBeat } from "./median.js";

const INTERVAL_NAMES = [["pr", "PR"], ["p", "P"], ["qrs", "QRS"], ["qt", "QT"], ["qtc_fridericia", "QTc (Fridericia)"]];
const SAME_MS = 0.05;

export class Boundaries {
  /**
   * @param {object} scene
   * @param {{edit: ?Function, changed: (scene: object) => void, say: (text: string) => void,
   *   trouble: (text: string) => void}} hooks edit: see `host.edit` of the view; changed: another scene is to be shown
   */
  constructor(scene, hooks) {
    Object.assign(this, { scene, hooks, base: scene, undone: [], changed: {} }); // base: as first measured
    this.moved = movedIn(scene);
    this.beat = new MedianBeat({
      preview: (name, ms) => this.values({ ...this.moved, [name]: ms }),
      moved: (name, ms) => this.move(name, ms),
    });
    this.intervals = h("div", { class: "values" });
    this.undoButton = h("button", { type: "button", onclick: () => this.undo() }, "Undo");
    this.exportButton = h("button", { type: "button", onclick: () => this.export() }, "Export edits");
    this.edited = h("p", { class: "quiet" });
    this.element = h(
      "section",
      { class: "median wide", "aria-label": "Median beat" },
      h("h3", {}, "Median beat"),
      this.beat.element,
      this.intervals,
      h("div", { class: "bar" }, this.undoButton, this.exportButton),
      this.edited,
    );
  }

  /** Another scene of the same recording; what of it was moved by hand stays moved. */
  set(scene) {
    this.scene = scene;
    if (!scene.edits.length && !Object.keys(this.moved).length) this.base = scene;
    this.changed = this.measuredAgain ? {} : recomputed(this.base, this.moved);
  }

  /** What is moved is what this scene says, and nothing can be undone. */
  take(scene) {
    this.moved = movedIn(scene);
    this.undone = [];
  }

  /** Whether what the scene says follows from the boundaries as they are now. */
  get measuredAgain() {
    return !Object.keys(this.moved).length || this.scene.edits.length > 0;
  }

  show(lead) {
    const { median } = this.scene;
    this.element.hidden = !median;
    if (!median) return;
    this.beat.set(median, { ...median.boundaries, ...this.moved }, this.moved, lead);
    this.values(this.moved);
    const [names, from] = [Object.keys(this.moved), originals(this.scene)];
    const told = (name) => `${BOUNDARY_NAMES[name]} ${typeof from[name] === "number" ? "to" : "set at"} ${Math.round(this.moved[name])} ms`;
    this.undoButton.disabled = !names.length;
    this.exportButton.disabled = !names.length;
    this.edited.textContent = !names.length
      ? "Drag a boundary, or choose it and press the arrow keys (1 ms; with Shift 10 ms)."
      : `Boundaries moved by hand: ${names.map(told).join(", ")}. ${
        this.measuredAgain ? "Intervals, findings and verdicts follow from them." : "Intervals follow; statements that rest on them are to be re-checked."}`;
  }

  /** Intervals with these boundaries: as measured again where that is done, else as the page computes them. */
  values(moved) {
    const changed = moved === this.moved && this.measuredAgain ? differing(this.base.intervals, this.scene.intervals) : recomputed(this.base, moved);
    refill(this.intervals, INTERVAL_NAMES.map(([name, words]) => {
      const was = this.base.intervals[name];
      const missing = was === null || was === undefined;
      if (missing && !(name in changed)) return null;
      const now = name in changed ? changed[name] : was;
      const before = missing ? "was not measured" : `was ${Math.round(was)}`;
      return h("span", { "data-interval": name }, `${words} `, h("b", { class: name in changed ? "changed" : null }, `${Math.round(now)} ms`), name in changed ? ` (${before})` : null);
    }));
  }

  /** Move a boundary, or set one that was not measured. @param {string} boundary @param {number} ms after the R @returns {Promise<void>} */
  async move(boundary, ms) {
    const from = originals(this.scene)[boundary];
    const moved = { ...this.moved, [boundary]: ms };
    if (typeof from === "number" && Math.abs(ms - from) < SAME_MS) delete moved[boundary];
    this.undone.push(this.moved);
    await this.apply(moved);
  }

  async undo() {
    await this.apply(this.undone.pop() || {});
  }

  async apply(moved) {
    const before = this.moved;
    this.moved = moved;
    this.hooks.trouble("");
    if (!this.hooks.edit) {
      this.hooks.changed(this.scene);
    } else {
      this.element.setAttribute("aria-busy", "true");
      try {
        const scene = await this.hooks.edit({ ...moved });
        if (this.moved !== moved) return; // moved on meanwhile
        this.hooks.changed(scene);
      } catch (error) {
        this.moved = before;
        this.hooks.changed(this.scene);
        this.hooks.trouble(`The edit was not accepted: ${error.message || error}`);
        return;
      } finally {
        this.element.removeAttribute("aria-busy");
      }
    }
    const values = [...this.intervals.children].map((part) => part.textContent).join(", ");
    this.hooks.say(`${Object.keys(moved).length ? "Boundary moved" : "No boundary is moved"}. ${values}`);
  }

  /** The edits with their provenance, as the file that "Export edits" saves. */
  edits() {
    return provenance(this.base, this.moved, this.measuredAgain ? this.scene.intervals : this.changed, this.measuredAgain);
  }

  export() {
    const blob = new Blob([JSON.stringify(this.edits(), null, 1)], { type: "application/json" });
    const link = h("a", { href: URL.createObjectURL(blob), download: `${this.scene.record.id.replace(/[^\w.-]+/g, "_") || "recording"}-edits.json` });
    this.element.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  destroy() {
    this.beat.destroy();
  }
}

function movedIn(scene) {
  return Object.fromEntries(scene.edits.map((edit) => [edit.boundary, edit.to_ms]));
}

/** The values of `now` that are others than in `was`. */
function differing(was, now) {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== null && value !== was[name]));
}
