/**
 * Where each stretch of each lead lies on the paper, in mm. Nothing is drawn here.
 *
 * @typedef {{lead: string, t0: number, t1: number, x: number, y: number, width: number, height: number,
 *   zero: ?number, strip: boolean, mmPerMv: number}} Panel  y is the zero line; zero is the value (mV) there,
 *   null for the median of the stretch
 * @typedef {{name: string, panels: Panel[], width: number, height: number, time: boolean}} Plan
 *   time: only time is zoomed, and all of the recording lies side by side
 */

export const MM_PER_S = 25;
const MM_PER_MV = 10;
export const PAGE_S = 10;
const MARGIN_MM = 10; // with the calibration pulse
const TOP_MM = 5; // so that the first row's pulse is on the paper
const STANDARD = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];

/** Layouts by name, for a menu: those that suit the recording. */
export function layoutNames(scene) {
  const many = scene.record.leads.length > 3;
  const names = [];
  if (scene.picture) names.push(["picture", "as photographed"]);
  if (many) names.push(["3x4", "3 × 4 with strip"], ["6x2", "6 × 2"]);
  names.push(["12x1", many ? "12 × 1" : "all leads"], ["lead", "one lead, large"], ["rhythm", "rhythm strips"]);
  names.push(["whole", "whole recording"]);
  return names;
}

/** The leads of a sheet in their usual order. */
export function sheetLeads(record) {
  const known = STANDARD.filter((name) => record.leads.includes(name));
  const others = record.leads.filter((name) => !STANDARD.includes(name));
  return known.length ? [...known, ...others] : record.leads;
}

/** The lead that rhythm is read in. */
export function rhythmLead(record, shown) {
  return ["II", "V1"].find((name) => shown.includes(name)) || shown[0];
}

/**
 * @param {string} name
 * @param {object} scene
 * @param {{shown: string[], lead: string, startS: number, gain: number, overlay: boolean}} wish
 *   gain: mm/mV over MM_PER_MV
 * @returns {Plan}
 */
export function planOf(name, scene, wish) {
  const record = scene.record;
  const mmPerMv = MM_PER_MV * wish.gain * record.mv_per_unit;
  if (name === "picture") return picturePlan(scene);
  if (name === "lead" || name === "rhythm" || name === "whole") return timePlan(name, record, wish, mmPerMv);
  const columns = name === "3x4" ? 4 : name === "6x2" ? 2 : 1;
  const rowMm = name === "3x4" ? 30 : name === "6x2" ? 21 : 15;
  const names = wish.shown;
  const rows = wish.overlay ? 1 : Math.max(1, Math.ceil(names.length / columns));
  const columnS = PAGE_S / columns;
  const panels = [];
  const end = record.duration_s;
  names.forEach((lead, k) => {
    const [column, row] = wish.overlay ? [0, 0] : [Math.floor(k / rows), k % rows];
    const seconds = wish.overlay ? PAGE_S : columnS;
    // as on a printed page: columns show consecutive times
    const t0 = Math.max(0, Math.min(wish.startS + column * columnS, end - seconds));
    panels.push(panelOf(lead, t0, Math.min(t0 + seconds, end), MARGIN_MM + column * columnS * MM_PER_S, row, rowMm, seconds));
  });
  let height = TOP_MM + rows * rowMm;
  if (columns > 1 && names.length && !wish.overlay) {
    const lead = rhythmLead(record, names);
    const strip = panelOf(lead, wish.startS, Math.min(wish.startS + PAGE_S, end), MARGIN_MM, rows, rowMm, PAGE_S);
    panels.push({ ...strip, strip: true });
    height += rowMm;
  }
  if (wish.overlay) {
    height = 60;
    for (const panel of panels) Object.assign(panel, { y: 30, height: 60 });
  }
  for (const panel of panels) Object.assign(panel, { mmPerMv, y: panel.y + (wish.overlay ? 0 : TOP_MM) });
  return { name, panels, width: MARGIN_MM + PAGE_S * MM_PER_S + 2, height, time: false };
}

function panelOf(lead, t0, t1, x, row, rowMm, seconds) {
  const y = (row + 0.5) * rowMm;
  return { lead, t0, t1, x, y, width: seconds * MM_PER_S, height: rowMm, zero: null, strip: false, mmPerMv: MM_PER_MV };
}

/** All of the recording from left to right, a row for each lead. */
function timePlan(name, record, wish, mmPerMv) {
  const rhythm = [rhythmLead(record, wish.shown), "V1", "V5"].filter((lead) => wish.shown.includes(lead));
  const chosen = name === "rhythm" ? [...new Set(rhythm)] : [wish.lead];
  const names = wish.overlay ? wish.shown : chosen.filter(Boolean);
  const rowMm = name === "rhythm" ? 25 : 40;
  const panels = names.map((lead, row) => ({
    ...panelOf(lead, 0, record.duration_s, 0, wish.overlay ? 0 : row, rowMm, record.duration_s),
    strip: true,
    mmPerMv,
  }));
  const rows = wish.overlay ? 1 : Math.max(1, names.length);
  return { name, panels, width: record.duration_s * MM_PER_S, height: rows * rowMm, time: true };
}

function picturePlan(scene) {
  const picture = scene.picture;
  const panels = picture.panels.map((panel) => ({
    lead: panel.lead,
    t0: panel.start_s,
    t1: panel.end_s,
    x: panel.x_mm,
    y: panel.y_mm,
    width: panel.width_mm,
    height: panel.height_mm,
    zero: panel.zero,
    strip: panel.rhythm,
    mmPerMv: picture.mm_per_mv,
  }));
  const [width, height] = [picture.width / picture.px_per_mm, picture.height / picture.px_per_mm];
  return { name: "picture", panels, width, height, time: false };
}
