/**
 * Samples of a lead, and the lowest and highest of any stretch of them without looking at each (a day has 20 million).
 */

const MISSING = -32768;
const MEDIAN_OF = 600;
const FACTOR = 8; // samples of one level that one block of the next covers
const NOTHING_LOW = 32767; // of a block without samples: lower than nothing, higher than nothing
const NOTHING_HIGH = -32768;

/** @param {string} text base64 of little-endian int16 @returns {Int16Array} */
export function decode(text) {
  if (Uint8Array.fromBase64) return new Int16Array(Uint8Array.fromBase64(text).buffer);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return new Int16Array(bytes.buffer);
}

export class Lead {
  /**
   * @param {string} name
   * @param {Int16Array} steps samples; MISSING where there is none
   * @param {number} fs of the samples here, Hz
   * @param {number} scale mV per step
   * @param {number} offset mV of step 0
   */
  constructor(name, steps, fs, scale, offset) {
    Object.assign(this, { name, steps, fs, scale, offset });
    this.levels = null;
  }

  /** mV at a sample; NaN where there is none. */
  value(i) {
    const step = this.steps[i];
    return step === undefined || step === MISSING ? NaN : step * this.scale + this.offset;
  }

  /** mV at a time (s), between samples. */
  at(second) {
    const place = second * this.fs;
    const i = Math.floor(place);
    const [a, b] = [this.value(i), this.value(i + 1)];
    return Number.isNaN(b) ? a : a + (b - a) * (place - i);
  }

  /** Median of a stretch of samples, mV; of about MEDIAN_OF of them. */
  median(first, last) {
    const every = Math.max(1, Math.floor((last - first) / MEDIAN_OF));
    const found = new Int16Array(MEDIAN_OF * 2);
    let count = 0;
    for (let i = Math.max(0, first); i < Math.min(last, this.steps.length); i += every) {
      if (this.steps[i] !== MISSING) found[count++] = this.steps[i];
    }
    if (!count) return this.offset;
    return found.subarray(0, count).sort()[count >> 1] * this.scale + this.offset;
  }

  /** Level k holds (lowest, highest) of each FACTOR ** k samples; made when a long stretch is first drawn. */
  pyramid() {
    if (this.levels) return this.levels;
    this.levels = [];
    let [low, high] = [this.steps, this.steps];
    while (low.length > 2 * FACTOR) {
      const n = Math.ceil(low.length / FACTOR);
      const [lows, highs] = [new Int16Array(n), new Int16Array(n)];
      const samples = low === this.steps;
      for (let block = 0; block < n; block++) {
        let [a, b] = [NOTHING_LOW, NOTHING_HIGH];
        const end = Math.min(low.length, (block + 1) * FACTOR);
        for (let i = block * FACTOR; i < end; i++) {
          if (samples && low[i] === MISSING) continue;
          if (low[i] < a) a = low[i];
          if (high[i] > b) b = high[i];
        }
        lows[block] = a;
        highs[block] = b;
      }
      this.levels.push([lows, highs]);
      [low, high] = [lows, highs];
    }
    return this.levels;
  }

  /**
   * Lowest and highest of each of many neighbouring stretches, in steps.
   * @param {number} first sample where the first stretch begins (may be fractional)
   * @param {number} length samples of a stretch
   * @param {number} count
   * @returns {Int16Array} low, high, low, high, ...; low > high where there are no samples
   */
  extremes(first, length, count) {
    const levels = length >= 2 * FACTOR ? this.pyramid() : [];
    const level = Math.min(levels.length, Math.floor(Math.log(length / 2) / Math.log(FACTOR)));
    const size = level > 0 ? FACTOR ** level : 1;
    const [lows, highs] = level > 0 ? levels[level - 1] : [this.steps, this.steps];
    const out = new Int16Array(2 * count);
    for (let k = 0; k < count; k++) {
      const begin = Math.max(0, Math.floor((first + k * length) / size));
      const end = Math.min(lows.length, Math.max(begin + 1, Math.floor((first + (k + 1) * length) / size)));
      let [a, b] = [NOTHING_LOW, NOTHING_HIGH];
      for (let i = begin; i < end; i++) {
        if (level <= 0 && lows[i] === MISSING) continue;
        if (lows[i] < a) a = lows[i];
        if (highs[i] > b) b = highs[i];
      }
      out[2 * k] = a;
      out[2 * k + 1] = b;
    }
    return out;
  }
}

/** @param {object} record of a scene @returns {Map<string, Lead>} */
export function leadsOf(record) {
  const fs = record.every > 1 ? (2 * record.fs) / record.every : record.fs;
  return new Map(
    record.samples.map((text, row) => [
      record.leads[row],
      new Lead(record.leads[row], decode(text), fs, record.scale, record.offsets[row] || 0),
    ]),
  );
}
