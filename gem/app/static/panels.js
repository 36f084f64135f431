/** What can be done with an open recording: its text, comparisons, a conversation, exports. */

import { h, refill } from "./dom.js";
import { post } from "./server.js";

const SIGNS = { supported: "\u2713", contradicted: "\u2715", unsupported: "?", not_checkable: "\u2013" };
const WAIT_MS = 90; // after the last key, before a text is sent
const FORMATS = {
  ".html": "Page (HTML)",
  ".pdf": "PDF",
  ".typ": "Source of the PDF (Typst)",
  ".json": "JSON",
  ".fhir.json": "FHIR R4 bundle",
  ".sr.json": "Structured report (DICOM JSON)",
};

/** A verdict by sign and word. */
export function verdict(name) {
  return name ? h("span", { class: `verdict ${name}` }, h("b", { "aria-hidden": "true" }, SIGNS[name]), ` ${name.replaceAll("_", " ")}`) : null;
}

/** Runs a task while a button is disabled; an error is said below it. */
function worker(button, place, task) {
  return async () => {
    button.disabled = true;
    refill(place, h("span", { class: "quiet" }, "working ..."));
    try {
      await task();
    } catch (error) {
      refill(place, h("span", { class: "error", role: "alert" }, error.message));
    } finally {
      button.disabled = false;
    }
  };
}

/**
 * The text, whose claims are checked while it is typed.
 * @param {object} opened the recording
 * @param {{model: string, spoken: Function, replaced: Function}} hooks `spoken(scene)` takes the parts that follow from
 *   the text, `replaced(opened)` all of it
 */
export class TextPanel {
  constructor(opened, hooks) {
    Object.assign(this, { opened, hooks, number: opened.number ?? Date.now(), timer: 0, request: null });
    this.area = h("textarea", { id: "text", rows: "6", maxlength: "20000", spellcheck: "false", "aria-describedby": "text-help", oninput: () => this.typed() });
    this.area.value = opened.text;
    this.claims = h("ul", { class: "claims" });
    this.state = h("p", { class: "counts", role: "status" });
    this.author = h("p", { class: "quiet" });
    const ask = h("button", { type: "button" }, `Let ${hooks.model} describe it`);
    const said = h("p", {});
    ask.addEventListener("click", worker(ask, said, async () => {
      this.cancel();
      hooks.replaced(await post(`/api/records/${opened.id}/model`, {}));
    }));
    const clear = h("button", { type: "button", onclick: () => { this.area.value = ""; this.typed(); this.area.focus(); } }, "Empty");
    const report = opened.report ? h("button", { type: "button", onclick: () => { this.area.value = opened.report; this.typed(); } }, "Report that came with it") : null;
    this.element = h(
      "div",
      { class: "halves" },
      h("div", {}, h("label", { for: "text" }, "Text"), this.area,
        h("p", { id: "text-help", class: "quiet" }, "Type, or paste a report or what another model wrote. English and German are read."),
        h("div", { class: "row" }, ask, report, clear), said, this.author),
      h("div", {}, h("h3", {}, "Claims"), this.state, this.claims),
    );
    this.show(opened.scene);
  }

  typed() {
    this.opened.text = this.area.value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), WAIT_MS);
  }

  /** Another panel or recording is shown: what was typed last is still checked. */
  leave() {
    if (this.timer) this.check();
  }

  cancel() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.request?.abort();
  }

  async check() {
    this.cancel(); // an older text needs no answer
    const request = new AbortController();
    this.request = request;
    this.number += 1;
    this.opened.number = this.number;
    try {
      const answer = await post(`/api/records/${this.opened.id}/text`, { text: this.area.value, number: this.number }, request.signal);
      if (answer.superseded || request !== this.request) return;
      this.hooks.spoken(answer.scene);
    } catch (error) {
      if (error.name !== "AbortError") refill(this.state, h("span", { class: "error" }, error.message));
    }
  }

  /** @param {object} scene whose statements are listed */
  show(scene) {
    const claims = scene.statements.flatMap((statement) => statement.claims);
    const unread = scene.statements.filter((statement) => !statement.claims.length);
    refill(
      this.claims,
      claims.map((claim) => h("li", {}, verdict(claim.verdict), " ", h("q", {}, claim.text), claim.reason ? h("p", { class: "quiet reason", title: claim.reason }, claim.reason) : null)),
      unread.slice(0, 20).map((statement) => h("li", {}, h("span", { class: "verdict" }, "no claim read"), " ", h("q", {}, statement.text))),
    );
    const counts = Object.entries(scene.counts).filter(([, count]) => count);
    refill(this.state, counts.length ? counts.map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`).join(", ") : "No claim yet.");
    refill(this.author, scene.model ? `By: ${scene.model}` : "");
  }
}

/** Two texts, a text and the model, or two recordings side by side. */
export function comparePanel(opened, hooks) {
  const own = h("textarea", { id: "text-a", rows: "4", maxlength: "20000" });
  own.value = opened.text;
  const other = h("textarea", { id: "text-b", rows: "4", maxlength: "20000", placeholder: "paste another report" });
  const model = h("input", { type: "checkbox", id: "with-model" });
  const out = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison" });
  const texts = h("button", { type: "button" }, "Compare texts");
  texts.addEventListener("click", worker(texts, out, async () => {
    const given = Object.fromEntries([["Text A", own.value], ["Text B", other.value]].filter(([, text]) => text.trim()));
    refill(out, textTable(await post("/api/compare", { record: opened.id, texts: given, model: model.checked })));
  }));
  const choice = h("select", { id: "earlier" }, hooks.others().map((one) => h("option", { value: one.id }, one.name)));
  const records = h("button", { type: "button", disabled: !choice.children.length }, "Compare recordings");
  records.addEventListener("click", worker(records, out, async () => {
    refill(out, recordTable(await post("/api/compare", { record: opened.id, earlier: choice.value })));
  }));
  return h(
    "div",
    {},
    h("div", { class: "halves" },
      h("div", {}, h("label", { for: "text-a" }, "Text A"), own),
      h("div", {}, h("label", { for: "text-b" }, "Text B"), other)),
    h("div", { class: "row" }, h("label", {}, model, ` and ${hooks.model}`), texts,
      h("label", { for: "earlier" }, "earlier recording"), choice, records),
    choice.children.length ? null : h("p", { class: "quiet" }, "Open a second recording to compare two."),
    out,
  );
}

function textTable(answer) {
  const at = (name) => answer.columns.indexOf(name);
  const head = ["About", ...answer.names, "Verdicts", "Measured"];
  const rows = answer.rows.map((row) => h("tr", { class: row[at("verdicts")] === "differ" ? "differ" : null },
    h("th", { scope: "row" }, row[at("topic")]),
    answer.names.map((name) => h("td", {}, row[at(name)], " ", verdict(row[at(`${name}: verdict`)]))),
    h("td", {}, row[at("verdicts")]), h("td", {}, row[at("measured")])));
  if (!rows.length) return h("p", {}, "No claim was read in any of the texts.");
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows));
}

function recordTable(answer) {
  const shown = (one) => (one.value === null ? "not measured" : `${Math.round(one.value)} ${one.unit}`);
  const rows = answer.values.map((row) => h("tr", {}, h("th", { scope: "row" }, row.quantity.replaceAll("_", " ")),
    h("td", {}, shown(row.now)), h("td", {}, shown(row.then)), h("td", {}, row.change === undefined ? "" : `${row.change > 0 ? "+" : ""}${row.change}`)));
  return h("div", {},
    h("table", {}, h("thead", {}, h("tr", {}, ["", answer.now, answer.then, "change"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows)),
    h("p", {}, `New findings: ${answer.new.join(", ") || "none"}. No longer there: ${answer.gone.join(", ") || "none"}.`));
}

/** A conversation; each sentence of an answer has its verdict and evidence. */
export function chatPanel(opened, hooks) {
  const log = h("ol", { class: "talk", "aria-live": "polite", "aria-label": "Conversation" });
  const said = (opened.talk ??= []);
  const question = h("input", { id: "question", maxlength: "1000", autocomplete: "off", placeholder: "Is there bundle branch block?" });
  const ask = h("button", { type: "submit" }, "Ask");
  const state = h("p", { role: "status" });
  const show = () => refill(log, said.map((answer) => [
    h("li", { class: "asked" }, answer.question),
    h("li", {}, answer.statements.map((part) => h("p", {}, part.text, " ", verdict(part.verdict),
      part.evidence.length ? h("small", { class: "quiet" }, ` ${placesOf(part.evidence)}`) : null)),
    answer.faults.map((fault) => h("p", { class: "quiet" }, fault))),
  ]));
  const run = worker(ask, state, async () => {
    const text = question.value.trim();
    if (!text) { refill(state); return; }
    said.push(await post(`/api/records/${opened.id}/ask`, { question: text }));
    question.value = "";
    refill(state);
    show();
  });
  show();
  return h("form", { onsubmit: (event) => { event.preventDefault(); run(); } }, log,
    h("div", { class: "row" }, h("label", { for: "question" }, "Question"), question, ask),
    h("p", { class: "quiet" }, `${hooks.model} answers; it is loaded at the first question, which may take a while.`), state);
}

function placesOf(evidence) {
  return [...new Set(evidence.slice(0, 4).map((part) => {
    const value = typeof part.value === "number" ? ` ${Math.round(part.value * 100) / 100} ${part.unit}`.trimEnd() : "";
    return `${part.quantity.replaceAll("_", " ")}${value}`;
  }))].join("; ");
}

/** Files of what is on the page now. */
export function exportPanel(opened) {
  return h("div", {},
    h("p", {}, "With the text, the verdicts and the boundaries as they are now."),
    h("ul", { class: "row" }, Object.entries(FORMATS).map(([ending, words]) =>
      h("li", {}, h("a", { class: "button", href: `/api/records/${opened.id}/export/${ending.slice(1)}`, download: "" }, words)))));
}
