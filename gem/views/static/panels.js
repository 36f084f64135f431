/** What stands around the ECG: statements, what is said of a wave, measured values, criteria. */

import { clock, h, refill } from "./dom.js";
import { WAVE_MAX_S } from "./spans.js";

export const SIGNS = { supported: "\u2713", contradicted: "\u2715", unsupported: "?", not_checkable: "\u2013" };
const MAX_PROOF = 8;

/** A verdict by sign and word. */
export function chip(verdict, words) {
  return h("span", { class: `chip ${verdict}` }, h("b", { "aria-hidden": "true" }, SIGNS[verdict] || "\u21bb"), ` ${words || verdict.replace("_", " ")}`);
}

/** The text of a statement; its claims are underlined by their verdict. Positions count characters, not UTF-16 units. */
function saidText(statement) {
  const letters = Array.from(statement.text);
  const parts = [];
  let at = 0;
  for (const claim of [...statement.claims].sort((a, b) => a.start - b.start)) {
    if (claim.start < at || claim.end > letters.length || claim.end <= claim.start) continue;
    parts.push(letters.slice(at, claim.start).join(""));
    const words = letters.slice(claim.start, claim.end).join("");
    parts.push(h("span", { class: `claim ${claim.verdict}`, title: claim.reason }, words));
    at = claim.end;
  }
  return [...parts, letters.slice(at).join("")];
}

/**
 * @param {object} statement
 * @param {{chosen: boolean, told: boolean, recheck: boolean}} state
 * @param {{choose: Function, peek: Function, toValue: Function, measured: Set<string>}} hooks
 */
export function statementItem(statement, state, hooks) {
  const { index } = statement;
  const verdict = statement.verdict ? chip(statement.verdict) : null;
  const number = h(
    "button",
    { class: "number", type: "button", "aria-expanded": String(state.chosen), "aria-label": `Statement ${index}: ${state.chosen ? "hide" : "show"} its evidence` },
    index,
  );
  const item = h(
    "li",
    {
      class: `statement${state.chosen ? " chosen" : ""}${state.told ? " told" : ""}`,
      "data-index": index,
      "aria-current": state.chosen ? "true" : null,
      onpointerenter: () => hooks.peek(index),
      onpointerleave: () => hooks.peek(null),
      onclick: (event) => {
        const inside = event.target.closest("button");
        if (!inside || inside === number) hooks.choose(index);
      },
    },
    number,
    h(
      "p",
      {},
      saidText(statement),
      " ",
      state.recheck ? chip("recheck", "to be re-checked") : verdict,
      state.recheck && statement.verdict ? h("span", { class: "quiet" }, ` (was ${statement.verdict.replace("_", " ")})`) : null,
      statement.kind_words ? h("span", { class: "chip kind" }, statement.kind_words) : null,
    ),
    state.chosen ? proofOf(statement, hooks) : null,
  );
  return item;
}

function proofOf(statement, hooks) {
  const lines = statement.claims
    .filter((claim) => claim.reason)
    .map((claim) => h("li", { class: "reason" }, `${claim.text}: `, h("b", {}, claim.verdict.replace("_", " ")), `, ${claim.reason}`));
  const evidence = statement.evidence.filter((part) => typeof part.value !== "boolean"); // a condition, not a value
  for (const part of evidence.slice(0, MAX_PROOF)) {
    const name = hooks.measured.has(part.quantity)
      ? h("button", { class: "link", type: "button", onclick: () => hooks.toValue(part.quantity) }, part.name)
      : part.name;
    const where = part.place ? ` [${part.place}]` : "";
    const left = part.more ? `; of its ${part.spans_s.length + part.more} places the first ${part.spans_s.length} are marked` : "";
    lines.push(h("li", {}, name, ` ${part.shown}${where}${part.value === null && part.reason ? `: ${part.reason}` : ""}${left}`));
  }
  if (evidence.length > MAX_PROOF) lines.push(h("li", {}, `and ${evidence.length - MAX_PROOF} more`));
  return h("ul", { class: "proof" }, lines.length ? lines : h("li", {}, "It cites no evidence."));
}

/** Statements that speak of a wave, and those of the whole recording. @returns {{of: number[], whole: number[]}} */
export function toldOf(wave, statements) {
  const [of, whole] = [[], []];
  for (const statement of statements) {
    let found = false;
    let general = false;
    for (const part of statement.evidence) {
      if (wave.lead && part.leads.length && !part.leads.includes(wave.lead)) continue;
      for (const [a, b] of part.spans_s) {
        if (b - a > WAVE_MAX_S) general ||= wave.onset_s < b && wave.offset_s > a;
        else {
          const shared = Math.min(b, wave.offset_s) - Math.max(a, wave.onset_s);
          found ||= shared >= 0.5 * Math.min(b - a, wave.offset_s - wave.onset_s);
        }
      }
    }
    if (found) of.push(statement.index);
    else if (general) whole.push(statement.index);
  }
  return { of, whole };
}

/** A wave in words. */
export function waveWords(wave, long) {
  const ms = (wave.offset_s - wave.onset_s) * 1000;
  return `${wave.lead || "All leads"}, beat ${wave.beat + 1}, ${wave.wave}: ${clock(wave.onset_s, long)} to ${clock(wave.offset_s, long)}, ${ms.toFixed(0)} ms`;
}

/** The measured values. @returns {HTMLElement} */
export function measuredTable(scene, changed, hooks) {
  const rows = scene.measured.map((row) => {
    const now = changed[row.quantity];
    const value = now === undefined ? row.shown : `${Math.round(now)} ms`;
    const marked = row.spans_s.length && row.value !== null;
    const name = marked ? h("button", { class: "link", type: "button", onclick: () => hooks.show(row) }, row.name) : row.name;
    const where = now === undefined ? row.where : row.value === null ? "boundary set by hand; it was not measured" : `boundary moved by hand; measured ${row.shown}`;
    return h("tr", { "data-quantity": row.quantity, tabindex: "-1" }, h("th", { scope: "row" }, name), h("td", { class: "value" }, value), h("td", {}, where));
  });
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Value"), h("th", { scope: "col" }, "Measured"), h("th", { scope: "col" }, "Where it was read, or why it is missing"))),
      h("tbody", {}, rows),
    ),
  );
}

/** Criteria in words with their source. */
export function criteriaList(scene, changed, hooks) {
  const item = (finding) => {
    const recheck = finding.evidence.some((part) => part.quantity in changed);
    const label = finding.evidence.some((part) => part.spans_s.length)
      ? h("button", { class: "link", type: "button", onclick: () => hooks.show(...finding.evidence) }, finding.label)
      : h("b", {}, finding.label);
    return h(
      "li",
      {},
      label,
      recheck ? [" ", chip("recheck", "to be re-checked")] : null,
      `: ${finding.criterion} `,
      finding.source ? h("cite", {}, finding.source) : null,
      finding.reason ? h("span", { class: "quiet" }, ` (${finding.reason})`) : null,
      finding.doubt ? h("span", { class: "quiet" }, ` (${finding.doubt})`) : null,
    );
  };
  const [met, open, not] = [true, null, false].map((state) => scene.findings.filter((finding) => finding.present === state));
  const folded = (title, list) =>
    list.length ? h("details", {}, h("summary", {}, `${title} (${list.length})`), h("ul", { class: "criteria" }, list.map(item))) : null;
  return [
    h("ul", { class: "criteria" }, met.length ? met.map(item) : h("li", {}, "none")),
    folded("Undecided", open),
    folded("Not met", not),
  ];
}

/** Beats by type: how many, and a way to each. */
export function beatTypes(scene, chosen, hooks) {
  const counts = new Map();
  for (const type of scene.beats.type) counts.set(type, (counts.get(type) || 0) + 1);
  return [...counts].map(([type, count]) =>
    h("button", { class: "chip", type: "button", "aria-pressed": String(type === chosen), onclick: () => hooks.type(type) }, `${type.replaceAll("_", " ")} ${count}`),
  );
}

/** Probabilities of a model, which are no measurements. */
export function chances(scene) {
  if (!scene.probabilities.length) return null;
  const rows = scene.probabilities.map((row) => {
    const bar = h("span", { class: "scale" });
    bar.style.width = `${100 * row.value}%`;
    return h("tr", {}, h("th", { scope: "row" }, row.name), h("td", { class: "value" }, `${Math.round(100 * row.value)}%`), h("td", {}, bar));
  });
  return h("section", {}, h("h3", {}, `${scene.model}: probabilities`), h("p", { class: "quiet" }, "estimated by the model, not measured"), h("table", {}, h("tbody", {}, rows)));
}

/** Lines of a list, or a word where there are none. */
export function lines(element, items, none) {
  return refill(element, items.length ? items.map((item) => h("li", {}, item)) : h("li", {}, none));
}
