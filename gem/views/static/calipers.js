/**
 * Calipers: two points of one lead, and what lies between them in ms, bpm and mV.
 *
 * @typedef {{lead: string, panel: number, t0: number, t1: number, v0: number, v1: number}} Caliper  s and mV
 */

import { MM_PER_S } from "./layouts.js";

/** What a caliper reads. @param {Caliper} caliper @param {string} unit "mV", or "" */
function reading(caliper, unit) {
  const ms = Math.abs(caliper.t1 - caliper.t0) * 1000;
  const volts = caliper.v1 - caliper.v0;
  return { ms, bpm: ms > 0 ? 60000 / ms : null, mv: volts, unit: unit || "units" };
}

/** The reading in words. */
export function readingText(caliper, unit) {
  const read = reading(caliper, unit);
  const rate = read.bpm !== null && read.bpm < 1000 ? ` · ${read.bpm.toFixed(0)} bpm` : "";
  const sign = read.mv < 0 ? "\u2212" : "";
  return `${read.ms.toFixed(0)} ms${rate} · ${sign}${Math.abs(read.mv).toFixed(2)} ${read.unit}`;
}

/** Times at which marching the caliper on meets a stretch, its own two included. */
function marched(caliper, from, to) {
  const step = Math.abs(caliper.t1 - caliper.t0);
  if (step < 0.02) return []; // a screen full of lines says nothing
  const start = Math.min(caliper.t0, caliper.t1);
  const out = [];
  for (let k = Math.ceil((from - start) / step); start + k * step <= to; k++) out.push(start + k * step);
  return out;
}

/**
 * Draw it on the panels that show its lead and times.
 * @param {CanvasRenderingContext2D} ctx
 * @param {object} view with panels(), xOf(panel, s), yOf(panel, mV), colours
 */
export function drawCaliper(ctx, view, caliper, march, unit) {
  const [early, late] = caliper.t0 <= caliper.t1 ? [caliper.t0, caliper.t1] : [caliper.t1, caliper.t0];
  view.panels().forEach((panel, number) => {
    if (panel.lead !== caliper.lead || late < panel.t0 || early > panel.t1) return;
    if (number !== caliper.panel && !panel.strip) return;
    const top = view.yOf(panel, null) - (panel.height / 2) * view.camera.ky;
    const bottom = top + panel.height * view.camera.ky;
    const end = Math.min(panel.t1, panel.t0 + panel.width / MM_PER_S);
    ctx.strokeStyle = ctx.fillStyle = view.colours.caliper;
    if (march) {
      ctx.globalAlpha = 0.85;
      ctx.setLineDash([6, 3]);
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      for (const t of marched(caliper, Math.max(panel.t0, view.visible(panel)[0]), Math.min(end, view.visible(panel)[1]))) {
        ctx.moveTo(view.xOf(panel, t), top);
        ctx.lineTo(view.xOf(panel, t), bottom);
      }
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.globalAlpha = 1;
    }
    const [x0, x1] = [view.xOf(panel, caliper.t0), view.xOf(panel, caliper.t1)];
    const [y0, y1] = [view.yOf(panel, caliper.v0), view.yOf(panel, caliper.v1)];
    ctx.globalAlpha = 0.1;
    ctx.fillRect(Math.min(x0, x1), top, Math.abs(x1 - x0), bottom - top);
    ctx.globalAlpha = 1;
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    for (const x of [x0, x1]) {
      ctx.moveTo(x, top);
      ctx.lineTo(x, bottom);
    }
    for (const y of [y0, y1]) {
      ctx.moveTo(Math.min(x0, x1), y);
      ctx.lineTo(Math.max(x0, x1), y);
    }
    ctx.stroke();
    for (const [x, y] of [[x0, y0], [x1, y1]]) {
      ctx.beginPath();
      ctx.arc(x, y, 4.5, 0, 7);
      ctx.fill();
    }
    label(ctx, view, readingText(caliper, unit), (x0 + x1) / 2, bottom - 22);
  });
}

function label(ctx, view, text, x, y) {
  ctx.font = "600 13px system-ui, sans-serif";
  const width = ctx.measureText(text).width + 12;
  const left = Math.min(Math.max(2, x - width / 2), view.width - width - 2);
  const top = Math.min(Math.max(2, y), view.height - 22);
  ctx.fillStyle = view.colours.caliper;
  ctx.beginPath();
  ctx.roundRect(left, top, width, 20, 4);
  ctx.fill();
  ctx.fillStyle = view.colours.paper;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(text, left + 6, top + 10.5);
}
