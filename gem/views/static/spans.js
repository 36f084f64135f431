/** Waves and stretches of evidence by lead. */

export const WAVE_MAX_S = 2.5; // a longer stretch is not one wave's: what rests on it is said of the recording

/** @param {object} waves of a scene, in columns @returns {Map<string, Array<object>>} by lead, in the order of time */
export function wavesByLead(waves) {
  const out = new Map();
  waves.onset_s.forEach((onset_s, k) => {
    const lead = waves.lead ? waves.lead[k] : ""; // of the recording as a whole
    if (!out.has(lead)) out.set(lead, []);
    out.get(lead).push({ lead, beat: waves.beat[k], wave: waves.wave[k], onset_s, offset_s: waves.offset_s[k] });
  });
  for (const list of out.values()) list.sort((a, b) => a.onset_s - b.onset_s);
  return out;
}

/** Where in a list, which is in the order of time, what comes after a time begins. @param {Function} timeOf one of it, s */
export function firstAfter(list, second, timeOf) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeOf(list[middle]) > second) high = middle;
    else low = middle + 1;
  }
  return low;
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
