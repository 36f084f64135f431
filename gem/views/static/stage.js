/**
 * The ECG on a canvas: camera, pointers, wheel, keys. What is chosen and said is decided elsewhere.
 */

import { clamp, h } from "./dom.js";
import { MM_PER_S, planOf } from "./layouts.js";
import { drawBeatLetters, drawGrid, drawMarks, drawNames, drawPulses, drawQuality, drawTrace, BEAT_LETTERS } from "./paper.js";
import { drawCaliper } from "./calipers.js";
import { leadsOf } from "./signal.js";
import { firstAfter } from "./spans.js";
import { Tiles } from "./tiles.js";

const MAX_PX_PER_MM = 60;
const NARROW_PX = 620; // of the stage: a page would be too small to read, so a part of it is shown
const DRAG_PX = 4;
const GRIP_PX = 12;

export class Stage {
  /**
   * @param {object} hooks picked(hit), hovered(hit | null), caliper(caliper), moved()
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.element = h(
      "div",
      {
        class: "stage",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "ECG on paper",
        "data-lm-suppress-shortcuts": "true",
      },
      this.canvas,
    );
    this.ctx = this.canvas.getContext("2d", { alpha: false });
    this.camera = { x: 0, y: 0, kx: 1, ky: 1 };
    this.marks = new Map(); // lead -> spans, "" for the strips
    this.wave = null; // the chosen one
    this.bands = []; // stretches of all leads, in the order of time
    this.caliper = null;
    this.tool = "pan";
    this.march = false;
    this.overlay = false;
    this.pointers = new Map();
    this.width = this.height = 0;
    this.ratio = 1;
    this.frame = 0;
    this.frames = 0; // drawn so far, for the benchmark
    this.image = null;
    this.paper = new Tiles(drawGrid);
    this.traces = new Tiles(drawTraces);
    listen(this);
    this.resizing = new ResizeObserver(() => this.element.clientWidth === this.width || this.resized());
    this.resizing.observe(this.element);
  }

  /** @param {object} scene whose samples are drawn from now on */
  setScene(scene) {
    const samples = this.scene && this.scene.record.samples === scene.record.samples;
    this.scene = scene;
    if (!samples) this.leads = leadsOf(scene.record);
    this.unit = scene.record.unit;
    this.quality = new Map(scene.quality.map((row) => [row.lead, row]));
    const { beats } = scene;
    this.unusual = beats.type.flatMap((type, k) => (type in BEAT_LETTERS ? [{ type, r_s: beats.r_s[k] }] : []));
    if (scene.picture && !this.image) {
      this.image = new Image();
      this.image.onload = () => this.draw();
      this.image.src = scene.picture.href;
    }
  }

  /** Lay the recording out anew. @param {object} wish see `plan` */
  setPlan(name, wish) {
    const before = this.plan && this.plan.time ? this.camera.x + this.width / this.camera.kx / 2 : null;
    const same = this.plan && this.plan.name === name;
    this.plan = planOf(name, this.scene, wish);
    this.overlay = wish.overlay;
    this.forget();
    for (const panel of this.plan.panels) {
      const lead = this.leads.get(panel.lead);
      if (panel.zero === null && lead) panel.zero = lead.median(Math.round(panel.t0 * lead.fs), Math.round(panel.t1 * lead.fs));
      if (panel.zero === null) panel.zero = 0;
    }
    if (!same) this.fit();
    else this.resized();
    if (same && before !== null) this.camera.x = before - this.width / this.camera.kx / 2;
    this.hold();
    this.draw();
  }

  /** What was drawn before does not hold any more: another layout, other colours. */
  forget() {
    this.paper.clear();
    this.traces.clear();
  }

  panels() {
    return this.plan.panels;
  }

  /** Height of the stage, and the zoom at which the page fills its width. */
  resized() {
    const width = this.element.clientWidth;
    if (!width || !this.plan) return;
    const wasFitted = this.fitted;
    const room = Math.max(420, window.innerHeight - 150);
    const { plan } = this;
    this.narrow = width < NARROW_PX;
    let k = width / plan.width;
    if (!plan.time && this.narrow && plan.name === "12x1") k = Math.max(k, 3.2);
    let height = plan.name === "whole" ? 220 : plan.time ? Math.min(room, plan.height * (plan.name === "lead" ? 9 : 4.6)) : plan.height * k;
    if (!plan.time && !this.narrow && height > room) k = room / plan.height;
    height = Math.min(height, room);
    this.fitScale = k;
    this.element.style.height = `${Math.round(height)}px`;
    const ratio = window.devicePixelRatio || 1;
    const changed = width !== this.width || Math.round(height) !== this.height || ratio !== this.ratio;
    Object.assign(this, { width, height: Math.round(height), ratio });
    if (changed) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(this.height * ratio);
    }
    if (wasFitted) this.fit(false);
    else if (plan.time) this.camera.ky = this.height / plan.height;
    this.hold();
    if (!changed) return;
    this.paint(); // at once: a canvas that was resized is blank
    this.hooks.moved();
  }

  /** Show the whole page, or of a time layout ten seconds. */
  fit(measure = true) {
    if (measure) {
      this.fitted = false;
      this.resized();
    }
    if (!this.width) {
      this.fitted = true;
      return;
    }
    const { plan, camera } = this;
    if (plan.time) {
      camera.ky = this.height / plan.height;
      const seconds = plan.name === "whole" ? this.scene.record.duration_s : this.narrow ? 3.5 : plan.name === "lead" ? 5 : 10;
      camera.kx = this.width / Math.min(plan.width, seconds * MM_PER_S);
    } else camera.kx = camera.ky = this.fitScale;
    camera.x = camera.y = 0;
    this.fitted = true;
    this.hold();
    this.draw();
  }

  /** Keep the page in sight. */
  hold() {
    const { camera, plan } = this;
    if (!this.width) return;
    const [w, ht] = [this.width / camera.kx, this.height / camera.ky];
    camera.x = w >= plan.width ? (plan.width - w) / 2 : clamp(camera.x, 0, plan.width - w);
    camera.y = ht >= plan.height ? (plan.height - ht) / 2 : clamp(camera.y, 0, plan.height - ht);
    // at whole pixels of the screen, so that squares that were drawn before fit
    camera.x = Math.round(camera.x * camera.kx * this.ratio) / (camera.kx * this.ratio);
    camera.y = Math.round(camera.y * camera.ky * this.ratio) / (camera.ky * this.ratio);
  }

  /** @param {number} factor above 1 is nearer @param {number} x the point of the stage that stays, px */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const { camera, plan } = this;
    const least = plan.time ? this.width / plan.width : Math.min(this.width / plan.width, this.fitScale);
    const kx = clamp(camera.kx * factor, least, MAX_PX_PER_MM);
    const ratio = kx / camera.kx;
    camera.x += x / camera.kx - x / kx;
    camera.kx = kx;
    if (!plan.time) {
      const ky = camera.ky * ratio;
      camera.y += y / camera.ky - y / ky;
      camera.ky = ky;
    }
    this.fitted = false;
    this.hold();
    this.draw();
    this.hooks.moved();
  }

  /** Move the paper. @param {number} dx px to the left @param {number} dy px upwards */
  pan(dx, dy) {
    this.camera.x += dx / this.camera.kx;
    this.camera.y += dy / this.camera.ky;
    this.fitted = false;
    this.hold();
    this.draw();
    this.hooks.moved();
  }

  /** Bring a time into sight, in a layout where time runs from left to right. */
  show(second, lead) {
    const shown = this.plan.panels.filter((panel) => (!lead || panel.lead === lead) && second >= panel.t0 && second <= panel.t1);
    if (!shown.length) return false;
    const inSight = shown.some((panel) => {
      const [from, to] = this.visible(panel);
      const y = (panel.y - this.camera.y) * this.camera.ky;
      return second >= from && second <= to && y > 0 && y < this.height;
    });
    if (!inSight) {
      this.camera.x = shown[0].x + (second - shown[0].t0) * MM_PER_S - this.width / this.camera.kx / 2;
      this.camera.y = shown[0].y - this.height / this.camera.ky / 2;
      this.hold();
      this.draw();
      this.hooks.moved();
    }
    return true;
  }

  xOf(panel, second) {
    return (panel.x + (second - panel.t0) * MM_PER_S - this.camera.x) * this.camera.kx;
  }

  /** px of a value (mV), or of the zero line. */
  yOf(panel, value) {
    const up = value === null ? 0 : (value - panel.zero) * panel.mmPerMv;
    return (panel.y - up - this.camera.y) * this.camera.ky;
  }

  /** The times of a panel that are in sight. */
  visible(panel) {
    const from = panel.t0 + (this.camera.x - panel.x) / MM_PER_S;
    return [Math.max(panel.t0, from), Math.min(panel.t1, from + this.width / this.camera.kx / MM_PER_S)];
  }

  /** px of a stretch of a panel; null where the panel does not show it. */
  boxOf(panel, from = panel.t0, to = panel.t1) {
    const [a, b] = [Math.max(from, panel.t0), Math.min(to, panel.t1)];
    if (b < a || (b === a && to > from)) return null;
    const y = this.yOf(panel, null);
    const half = (panel.height / 2) * this.camera.ky;
    return { x0: this.xOf(panel, a), x1: this.xOf(panel, b), y0: y - half, y1: y + half };
  }

  /** Rectangles of the evidence that is shown, px of the stage. */
  markBoxes() {
    const boxes = [];
    for (const panel of this.plan.panels) {
      const [from, to] = this.visible(panel);
      const spans = [...(this.marks.get(panel.lead) || []), ...(panel.strip ? this.marks.get("") || [] : [])];
      for (const [a, b] of spans) {
        const box = b >= from && a <= to ? this.boxOf(panel, a, b) : null;
        if (box) boxes.push({ ...box, lead: panel.lead, start_s: Math.max(a, panel.t0), end_s: Math.min(b, panel.t1) });
      }
    }
    return boxes;
  }

  /** Rectangles of the stretches of all leads, px of the stage. */
  bandBoxes() {
    const boxes = [];
    for (const panel of this.plan.panels) {
      const [from, to] = this.visible(panel);
      for (let k = firstAfter(this.bands, from, (band) => band[1]); k < this.bands.length && this.bands[k][0] <= to; k++) {
        const box = this.boxOf(panel, ...this.bands[k]);
        if (box) boxes.push(box);
      }
    }
    return boxes;
  }

  /** What lies at a point: panel, time, value. */
  hit(x, y) {
    let best = null;
    this.plan.panels.forEach((panel, number) => {
      const box = this.boxOf(panel);
      if (!box || x < box.x0 || x > box.x1 || y < box.y0 || y > box.y1) return;
      const time = panel.t0 + (x / this.camera.kx + this.camera.x - panel.x) / MM_PER_S;
      const value = panel.zero + (panel.y - y / this.camera.ky - this.camera.y) / panel.mmPerMv;
      const lead = this.leads.get(panel.lead);
      const apart = lead ? Math.abs(this.yOf(panel, lead.at(time)) - y) : 0;
      if (!best || apart < best.apart) best = { panel: number, lead: panel.lead, time_s: time, value, apart, x, y };
    });
    return best;
  }

  /** Draw with the next frame of the screen. */
  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.width || !this.plan) return;
    const { ctx, colours, plan } = this;
    this.frames += 1;
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    if (plan.name === "picture") {
      ctx.fillStyle = colours.paper;
      ctx.fillRect(0, 0, this.width, this.height);
      const { x, y, kx, ky } = this.camera;
      if (this.image.complete) ctx.drawImage(this.image, -x * kx, -y * ky, plan.width * kx, plan.height * ky);
    } else this.paper.draw(ctx, this);
    drawQuality(ctx, this, this.quality);
    drawMarks(ctx, this, this.bandBoxes());
    drawMarks(ctx, this, this.markBoxes());
    if (this.wave) {
      const panels = plan.panels.filter((panel) => !this.wave.lead || panel.lead === this.wave.lead);
      drawMarks(ctx, this, panels.map((panel) => this.boxOf(panel, this.wave.onset_s, this.wave.offset_s)).filter(Boolean), true);
    }
    if (plan.name !== "picture" || this.traceOverPicture) {
      this.traces.draw(ctx, this);
      drawPulses(ctx, this);
      if (plan.name !== "picture") drawNames(ctx, this, this.quality);
    }
    drawBeatLetters(ctx, this, this.unusual);
    if (this.caliper) drawCaliper(ctx, this, this.caliper, this.march, this.unit);
  }

  destroy() {
    this.resizing.disconnect();
    cancelAnimationFrame(this.frame);
  }
}

/** All traces that a view of the paper shows. */
function drawTraces(ctx, view) {
  const { series } = view.colours;
  view.plan.panels.forEach((panel, number) => {
    const lead = view.leads.get(panel.lead);
    const box = view.boxOf(panel);
    if (!lead || box.x1 < 0 || box.x0 > view.width) return;
    const one = view.plan.name === "picture" ? view.colours.edge : view.colours.trace;
    const colour = view.overlay ? series[number % series.length] : one;
    drawTrace(ctx, view, panel, lead, colour, view.overlay && number >= series.length ? [5, 3] : null);
  });
}

function listen(stage) {
  const { element } = stage;
  const at = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let drag = null;
  let pinch = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    element.focus({ preventScroll: true });
    const [x, y] = at(event);
    stage.pointers.set(event.pointerId, [x, y]);
    element.setPointerCapture(event.pointerId);
    if (stage.pointers.size === 2) {
      drag = null;
      pinch = spread(stage);
    } else drag = { x, y, far: false, grip: stage.tool === "calipers" ? gripAt(stage, x, y) : null };
  });
  element.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!stage.pointers.has(event.pointerId)) {
      stage.hooks.hovered(stage.plan ? stage.hit(x, y) : null);
      return;
    }
    stage.pointers.set(event.pointerId, [x, y]);
    if (pinch && stage.pointers.size === 2) {
      const now = spread(stage);
      stage.zoom(now.apart / pinch.apart, now.x, now.y);
      stage.pan(pinch.x - now.x, pinch.y - now.y);
      pinch = now;
    } else if (drag) {
      if (!drag.far && Math.hypot(x - drag.x, y - drag.y) < DRAG_PX) return;
      if (stage.tool === "calipers") moveCaliper(stage, drag, x, y);
      else stage.pan(drag.x - x, drag.y - y);
      if (stage.tool !== "calipers" || drag.grip) [drag.x, drag.y] = [x, y];
      drag.far = true;
      element.classList.add("dragging");
    }
  });
  const end = (event) => {
    stage.pointers.delete(event.pointerId);
    element.classList.remove("dragging");
    if (stage.pointers.size < 2) pinch = null;
    if (drag && !drag.far && event.type === "pointerup") stage.hooks.picked(stage.hit(drag.x, drag.y));
    drag = null;
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  element.addEventListener("pointerleave", () => stage.hooks.hovered(null));
  element.addEventListener(
    "wheel",
    (event) => {
      // the wheel scrolls the document until the ECG is chosen; a pinch on a touchpad comes as a wheel with ctrl
      const active = event.ctrlKey || element.matches(":focus");
      const [x, y] = at(event);
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) stage.pan(event.deltaX, 0);
      else if (active && event.shiftKey) stage.pan(event.deltaY, 0);
      else if (active) stage.zoom(Math.exp(-clamp(event.deltaY, -240, 240) * (event.ctrlKey ? 0.01 : 0.0018)), x, y);
      else return;
      event.preventDefault();
    },
    { passive: false },
  );
}

/** Middle and distance of two fingers. */
function spread(stage) {
  const [[ax, ay], [bx, by]] = stage.pointers.values();
  return { x: (ax + bx) / 2, y: (ay + by) / 2, apart: Math.max(10, Math.hypot(ax - bx, ay - by)) };
}

/** Which end of the caliper a pointer takes: "0", "1", "both", or null for a new one. */
function gripAt(stage, x, y) {
  const caliper = stage.caliper;
  if (!caliper) return null;
  const panel = stage.plan.panels[caliper.panel];
  const box = panel && stage.boxOf(panel);
  if (!box || panel.lead !== caliper.lead || y < box.y0 || y > box.y1) return null;
  const [x0, x1] = [stage.xOf(panel, caliper.t0), stage.xOf(panel, caliper.t1)];
  const [near0, near1] = [Math.abs(x - x0), Math.abs(x - x1)];
  if (Math.min(near0, near1) <= GRIP_PX) return near0 < near1 ? "0" : "1";
  return (x - x0) * (x - x1) < 0 ? "both" : null;
}

function moveCaliper(stage, drag, x, y) {
  if (!drag.grip) {
    const start = stage.hit(drag.x, drag.y);
    if (!start) return;
    const panel = stage.plan.panels[start.panel];
    const [t1, v1] = placeIn(stage, panel, x, y);
    stage.caliper = { lead: start.lead, panel: start.panel, t0: start.time_s, v0: start.value, t1, v1 };
  } else {
    const panel = stage.plan.panels[stage.caliper.panel];
    const [from, to] = [placeIn(stage, panel, drag.x, drag.y), placeIn(stage, panel, x, y)];
    const [dt, dv] = [to[0] - from[0], to[1] - from[1]];
    const caliper = { ...stage.caliper };
    for (const end of drag.grip === "both" ? ["0", "1"] : [drag.grip]) {
      caliper[`t${end}`] += dt;
      caliper[`v${end}`] += dv;
    }
    stage.caliper = caliper;
  }
  stage.hooks.caliper(stage.caliper);
  stage.draw();
}

/** Time and value at a point, in the scale of one panel, also outside of it. */
function placeIn(stage, panel, x, y) {
  return [
    panel.t0 + (x / stage.camera.kx + stage.camera.x - panel.x) / MM_PER_S,
    panel.zero + (panel.y - y / stage.camera.ky - stage.camera.y) / panel.mmPerMv,
  ];
}
