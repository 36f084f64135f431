/**
 * Drawing on the canvas: paper, traces, marks, words. A `view` gives the camera, the panels and the colours.
 */

import { MM_PER_S } from "./layouts.js";
import { firstAfter } from "./spans.js";

// mm between lines of the grid, for every zoom of the time axis: 1 mm, 5 mm, 1 s, 10 s, 1 min, 10 min, 1 h
const TIME_STEPS = [1, 5, 25, 250, 1500, 15000, 90000];
const VALUE_STEPS = [1, 5, 10, 50];
const MIN_GAP_PX = 2.6;
const EDGE_PX = 6;
const POINTS_PER_PX = 2.5; // with more samples per pixel, only the lowest and the highest of each are drawn
export const BEAT_LETTERS = {
  premature_ventricular: "V",
  premature_supraventricular: "S",
  paced: "P",
  wide: "W",
};

function steps(all, scale) {
  const first = all.findIndex((mm) => mm * scale >= MIN_GAP_PX);
  return [all[first], all[first + 1]].filter((mm) => mm !== undefined && first >= 0);
}

/** Lines of the grid inside the page, thin and thick. */
export function drawGrid(ctx, view) {
  const { camera, plan, colours, width, height } = view;
  ctx.fillStyle = colours.paper;
  ctx.fillRect(0, 0, width, height);
  const [left, right] = [Math.max(0, camera.x), Math.min(plan.width, camera.x + width / camera.kx)];
  const [top, bottom] = [Math.max(0, camera.y), Math.min(plan.height, camera.y + height / camera.ky)];
  const [x0, x1] = [(left - camera.x) * camera.kx, (right - camera.x) * camera.kx];
  const [y0, y1] = [(top - camera.y) * camera.ky, (bottom - camera.y) * camera.ky];
  const [across, down] = [steps(TIME_STEPS, camera.kx), steps(VALUE_STEPS, camera.ky)];
  for (const kind of [0, 1]) {
    ctx.fillStyle = kind ? colours.thick : colours.thin;
    if (across[kind]) {
      for (let mm = Math.ceil(left / across[kind]) * across[kind]; mm <= right; mm += across[kind]) {
        ctx.fillRect((mm - camera.x) * camera.kx - 0.5, y0, 1, y1 - y0);
      }
    }
    if (down[kind]) {
      for (let mm = Math.ceil(top / down[kind]) * down[kind]; mm <= bottom; mm += down[kind]) {
        ctx.fillRect(x0, (mm - camera.y) * camera.ky - 0.5, x1 - x0, 1);
      }
    }
  }
}

/** The trace of a panel. */
export function drawTrace(ctx, view, panel, lead, colour, dash) {
  const { camera } = view;
  const perSecond = MM_PER_S * camera.kx;
  const edge = EDGE_PX / perSecond; // a little more than is seen, so that no line ends in sight
  const [seenFrom, seenTo] = view.visible(panel);
  const [from, to] = [Math.max(panel.t0, seenFrom - edge), Math.min(panel.t1, seenTo + edge)];
  if (to <= from) return;
  const perMv = panel.mmPerMv * camera.ky;
  const zeroY = (panel.y - camera.y) * camera.ky;
  const y = (step) => zeroY - (step * lead.scale + lead.offset - panel.zero) * perMv;
  const x = (sample) => (panel.x - camera.x) * camera.kx + (sample / lead.fs - panel.t0) * perSecond;
  const box = view.boxOf(panel);
  if (box.y1 < 0 || box.y0 > view.height) {
    // another row: does its trace reach as far as here?
    const reach = lead.extremes(from * lead.fs, Math.max(1, (to - from) * lead.fs), 1);
    if (reach[0] > reach[1] || y(reach[0]) < -EDGE_PX || y(reach[1]) > view.height + EDGE_PX) return;
  }
  ctx.beginPath();
  let pen = false;
  const perPixel = lead.fs / perSecond / view.ratio; // samples per pixel of the screen
  if (perPixel <= POINTS_PER_PX) {
    const last = Math.min(lead.steps.length - 1, Math.ceil(to * lead.fs));
    for (let i = Math.max(0, Math.floor(from * lead.fs)); i <= last; i++) {
      const step = lead.steps[i];
      if (step === -32768) pen = false;
      else if (pen) ctx.lineTo(x(i), y(step));
      else {
        ctx.moveTo(x(i), y(step));
        pen = true;
      }
    }
  } else {
    // stretches begin at multiples of their length, so that a trace does not flicker while it is moved
    const first = Math.floor((from * lead.fs) / perPixel);
    const count = Math.ceil((to * lead.fs) / perPixel) - first + 1;
    const pairs = lead.extremes(first * perPixel, perPixel, count);
    let before = 0;
    for (let k = 0; k < count; k++) {
      const [low, high] = [pairs[2 * k], pairs[2 * k + 1]];
      if (low > high) {
        pen = false;
        continue;
      }
      const at = x((first + k + 0.5) * perPixel);
      const upwards = pen && Math.abs(before - low) > Math.abs(before - high);
      const [one, other] = upwards ? [high, low] : [low, high];
      if (pen) ctx.lineTo(at, y(one));
      else ctx.moveTo(at, y(one));
      if (one !== other) ctx.lineTo(at, y(other));
      before = other;
      pen = true;
    }
  }
  ctx.strokeStyle = colour;
  ctx.lineWidth = Math.min(2, Math.max(1, 0.28 * camera.ky));
  ctx.lineJoin = "round";
  ctx.setLineDash(dash || []);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** The calibration pulse left of each row: 1 mV for 0.2 s. */
export function drawPulses(ctx, view) {
  if (view.plan.time || view.plan.name === "picture" || view.unit !== "mV") return;
  const rows = new Map(view.plan.panels.map((panel) => [panel.y, panel]));
  ctx.strokeStyle = view.colours.trace;
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  for (const panel of rows.values()) {
    const points = [[1.5, 0], [2.5, 0], [2.5, 1], [7.5, 1], [7.5, 0], [8.5, 0]];
    points.forEach(([mm, mv], k) => {
      const x = (mm - view.camera.x) * view.camera.kx;
      const y = (panel.y - mv * panel.mmPerMv - view.camera.y) * view.camera.ky;
      if (k) ctx.lineTo(x, y);
      else ctx.moveTo(x, y);
    });
  }
  ctx.stroke();
}

/** Names of leads, and what is wrong with them. */
export function drawNames(ctx, view, quality) {
  const size = Math.min(17, Math.max(11, 4 * view.camera.ky));
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "left";
  ctx.lineWidth = 3;
  ctx.lineJoin = "round";
  ctx.strokeStyle = view.colours.paper;
  view.plan.panels.forEach((panel, number) => {
    const box = view.boxOf(panel);
    if (box.x1 < 0 || box.x0 > view.width || box.y1 < 0 || box.y0 > view.height) return;
    const room = Math.max(size + 2, Math.min((box.y1 - box.y0) / 2 - 2, 12 * view.camera.ky));
    const x = Math.max(box.x0, view.plan.time ? 0 : box.x0) + 4;
    const y = (box.y0 + box.y1) / 2 - room + size + (view.overlay ? number * (size + 3) : 0);
    ctx.font = `600 ${size}px system-ui, sans-serif`;
    ctx.fillStyle = view.overlay ? view.colours.series[number % view.colours.series.length] : view.colours.ink;
    ctx.strokeText(panel.lead, x, y);
    ctx.fillText(panel.lead, x, y);
    const judged = quality.get(panel.lead);
    if (judged && !judged.usable) {
      const said = `not used: ${judged.issues.join(", ") || "quality"}`;
      const after = x + ctx.measureText(`${panel.lead} `).width;
      ctx.font = `${Math.max(10, size - 3)}px system-ui, sans-serif`;
      ctx.fillStyle = view.colours.soft;
      ctx.strokeText(said, after, y);
      ctx.fillText(said, after, y);
    }
  });
}

/** Stretches that were left out of the measurement: hatched. */
export function drawQuality(ctx, view, quality) {
  for (const panel of view.plan.panels) {
    const judged = quality.get(panel.lead);
    if (!judged) continue;
    const spans = judged.usable ? judged.unusable_spans_s : [[panel.t0, panel.t1]];
    for (const [a, b] of spans) {
      const box = view.boxOf(panel, a, b);
      if (box && box.x1 > 0 && box.x0 < view.width) hatch(ctx, view, box);
    }
  }
}

function hatch(ctx, view, box) {
  const [x0, x1] = [Math.max(0, box.x0), Math.min(view.width, box.x1)];
  ctx.save();
  ctx.beginPath();
  ctx.rect(x0, box.y0, x1 - x0, box.y1 - box.y0);
  ctx.clip();
  ctx.strokeStyle = view.colours.hatch;
  ctx.lineWidth = 1;
  ctx.beginPath();
  const rise = box.y1 - box.y0;
  for (let x = Math.floor((x0 - rise) / 9) * 9; x < x1; x += 9) {
    ctx.moveTo(x, box.y1);
    ctx.lineTo(x + rise, box.y0);
  }
  ctx.stroke();
  ctx.restore();
}

/** Rectangles of evidence: under the traces. */
export function drawMarks(ctx, view, boxes, strong) {
  ctx.fillStyle = strong ? view.colours.chosen : view.colours.mark;
  ctx.strokeStyle = view.colours.edge;
  ctx.lineWidth = strong ? 2 : 1;
  for (const box of boxes) {
    const width = Math.max(box.x1 - box.x0, 2);
    ctx.fillRect(box.x0, box.y0, width, box.y1 - box.y0);
    ctx.beginPath();
    ctx.moveTo(box.x0, box.y1 - 1);
    ctx.lineTo(box.x0 + width, box.y1 - 1);
    if (strong) {
      ctx.moveTo(box.x0, box.y0 + 1);
      ctx.lineTo(box.x0 + width, box.y0 + 1);
    }
    ctx.stroke();
  }
}

/** A letter above each beat that is not a usual one. */
export function drawBeatLetters(ctx, view, beats) {
  ctx.font = "700 12px system-ui, sans-serif";
  ctx.textAlign = "center";
  ctx.textBaseline = "alphabetic";
  ctx.lineWidth = 3;
  ctx.strokeStyle = view.colours.paper;
  for (const panel of view.plan.panels) {
    if (!panel.strip) continue;
    const [from, to] = view.visible(panel);
    let last = -Infinity;
    for (let k = firstAfter(beats, from, (beat) => beat.r_s); k < beats.length && beats[k].r_s <= to; k++) {
      const beat = beats[k];
      const x = view.xOf(panel, beat.r_s);
      if (x - last < 9) continue; // letters would lie on each other
      last = x;
      const y = view.boxOf(panel).y0 + 13;
      ctx.fillStyle = view.colours.beat;
      ctx.strokeText(BEAT_LETTERS[beat.type], x, y);
      ctx.fillText(BEAT_LETTERS[beat.type], x, y);
    }
  }
}
