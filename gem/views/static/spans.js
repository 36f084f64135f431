/** Waves and stretches of evidence by lead. */

export const WAVE_MAX_S = 2.5; // a longer stretch is not one wave's: what rests on it is said of the recording

/** @param {Array<object>} waves of a scene @returns {Map<string, Array<object>>} by lead, in the order of time */
export function wavesByLead(waves) {
  const out = new Map();
  for (const wave of waves) {
    if (!out.has(wave.lead)) out.set(wave.lead, []);
    out.get(wave.lead).push(wave);
  }
  for (const list of out.values()) list.sort((a, b) => a.onset_s - b.onset_s);
  return out;
}

/** Stretches of each lead; "" are those of the recording as a whole, which the strips show. */
export function spansByLead(evidence) {
  const out = new Map();
  const add = (lead, span) => {
    if (!out.has(lead)) out.set(lead, new Map());
    out.get(lead).set(span.join(" "), span);
  };
  for (const part of evidence) {
    for (const span of part.spans_s) {
      const whole = !part.leads.length || (part.leads.length > 6 && span[1] - span[0] > WAVE_MAX_S);
      for (const lead of whole ? [""] : part.leads) add(lead, span);
    }
  }
  return new Map([...out].map(([lead, spans]) => [lead, [...spans.values()].sort((a, b) => a[0] - b[0])]));
}
