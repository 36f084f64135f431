/**
 * Boundaries moved by hand: what follows from them as long as no Python is there to measure again.
 */

/** Intervals (ms) and the boundaries between which they lie: [from, to]. */
const BETWEEN = {
  pr: ["p_onset", "qrs_onset"],
  p: ["p_onset", "p_offset"],
  qrs: ["qrs_onset", "qrs_offset"],
  qt: ["qrs_onset", "t_offset"],
};
const CORRECTIONS = {
  qtc_bazett: (qt, rr) => qt / Math.sqrt(rr / 1000),
  qtc_fridericia: (qt, rr) => qt / Math.cbrt(rr / 1000),
  qtc_framingham: (qt, rr) => qt + 154 * (1 - rr / 1000),
  qtc_hodges: (qt, rr) => qt + 1.75 * (60000 / rr - 60),
};

export const BOUNDARY_NAMES = {
  p_onset: "P onset",
  p_offset: "P end",
  qrs_onset: "QRS onset",
  qrs_offset: "QRS end",
  t_offset: "T end",
};

/**
 * Intervals after boundaries were moved, or set where none was measured.
 * @param {object} scene as it was measured
 * @param {Object<string, number>} moved boundary -> ms after the R
 * @returns {Object<string, number>} those that change
 */
export function recomputed(scene, moved) {
  const places = { ...scene.median?.boundaries, ...moved };
  const out = {};
  for (const [name, ends] of Object.entries(BETWEEN)) {
    const [from, to] = ends.map((end) => places[end]);
    if (ends.some((end) => end in moved) && typeof from === "number" && typeof to === "number") out[name] = to - from;
  }
  const { rr } = scene.intervals;
  if ("qt" in out && rr) for (const [name, corrected] of Object.entries(CORRECTIONS)) out[name] = corrected(out.qt, rr);
  return out;
}

/** Whether what was said rests on one of these quantities. */
export function restsOn(evidence, quantities) {
  return evidence.some((part) => part.quantity in quantities);
}

/** Where each boundary was before any of it was moved. */
export function originals(scene) {
  const out = { ...scene.median.boundaries };
  for (const edit of scene.edits) out[edit.boundary] = edit.from_ms;
  return out;
}

/**
 * The edits as a file: what was moved, from where, what follows, and on which measurement it was done.
 * @returns {object} JSON-ready
 */
export function provenance(scene, moved, intervals, measuredAgain) {
  const from = originals(scene);
  return {
    kind: "gem-ecg edits",
    record_id: scene.record.id,
    made_by: scene.made_by,
    edited_at: new Date().toISOString(),
    method: "boundary moved by hand in the view",
    reference: "ms after the R of the median beat",
    intervals_by: measuredAgain ? "gem-ecg, measured again" : "the page; verdicts were not checked again",
    edits: Object.entries(moved).map(([boundary, to]) => ({ boundary, from_ms: from[boundary], to_ms: to })),
    intervals_ms: { ...scene.intervals, ...intervals },
  };
}
