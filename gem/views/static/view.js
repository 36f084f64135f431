/**
 * The view of a recording and of what was said about it.
 *
 *     import { mount } from "./view.js";
 *     const view = mount(element, scene, host);
 *
 * `scene` comes from `gem.views.scene.scene` in Python. All of `host` is optional:
 *
 * - `host.edit(moved)`: a promise of the scene after boundaries were moved: `{qrs_onset: ms, ...}` has every boundary
 *   that now lies elsewhere than it was first measured (`{}` after the last undo), ms after the R of the median beat.
 *   Without it the page computes intervals alone, and marks what rests on them as "to be re-checked".
 * - `host.selected({statement} | {lead, time_s, wave, beat})` is told what was chosen.
 * - `host.theme`: "light" or "dark"; else as the reader's system has it.
 */

import { Boundaries } from "./boundaries.js";
import { CaliperBar } from "./caliper_bar.js";
import { clamp, clock, h, refill } from "./dom.js";
import { restsOn } from "./edits.js";
import { MM_PER_S, PAGE_S, rhythmLead, sheetLeads } from "./layouts.js";
import { onKey } from "./keys.js";
import { Navigator } from "./navigator.js";
import { beatTypes, chances, chip, criteriaList, lines, measuredTable, SIGNS, statementItem, toldOf, waveWords } from "./panels.js";
import { firstAfter, spansByLead, WAVE_MAX_S, wavesByLead } from "./spans.js";
import { Stage } from "./stage.js";
import { coloursOf, STYLE } from "./style.js";
import { closeMenus, toolbar } from "./toolbar.js";

const LONG_S = 60; // recordings from here on have times of day on their axis
const NEAR_S = 0.02;

/**
 * @param {HTMLElement} element to be filled
 * @param {object} scene
 * @param {object} host see above
 */
export function mount(element, scene, host = {}) {
  return new View(element, scene, host);
}

class View {
  constructor(element, scene, host) {
    this.host = host;
    this.scene = scene;
    this.chosen = null;
    this.peeked = null;
    this.wave = null;
    this.filter = null;
    this.beatType = null;
    this.shown = new Set(sheetLeads(scene.record));
    this.lead = rhythmLead(scene.record, sheetLeads(scene.record));
    this.startS = 0;
    this.gain = 1;
    this.overlay = false;
    this.drawn = scene.record.samples.length > 0;
    const narrow = element.clientWidth && element.clientWidth < 620;
    this.layout = scene.picture ? "picture" : scene.record.duration_s > 120 ? "rhythm" : scene.record.leads.length > 3 && !narrow ? "3x4" : "12x1";
    this.outer = h("div", { class: "gem-view", "data-lm-suppress-shortcuts": "true" });
    if (host.theme) this.outer.dataset.theme = host.theme;
    this.root = this.outer.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // not subject to a content security policy, as a style element is
    sheet.replaceSync(STYLE);
    this.root.adoptedStyleSheets = [sheet];
    this.build();
    this.update(scene);
    element.append(this.outer); // all at once: the browser lays it out once
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.colour();
    this.dark.addEventListener("change", this.recolour);
    this.colour();
    this.stage?.resized();
  }

  // ---- what there is on the page

  build() {
    this.live = h("p", { class: "hidden", role: "status" });
    this.trouble = h("p", { class: "trouble", role: "alert", hidden: true });
    this.heading = h("header", {});
    this.list = h("ol", { "aria-label": "Statements" });
    this.filters = h("div", { class: "filters", role: "group", "aria-label": "Statements by verdict" });
    this.about = h("div", { class: "about", role: "region", "aria-label": "What is said of the chosen wave", hidden: true });
    this.table = h("div", {});
    this.criteria = h("div", {});
    this.types = h("div", { class: "filters", role: "group", "aria-label": "Beats by type" });
    this.notes = h("ul", { class: "criteria" });
    this.chance = h("div", {});
    this.said = h("section", { class: "said", "aria-label": "Explanation" }, h("div", {}, h("h3", {}, "Explanation"), this.about, this.filters, this.list));
    this.boundaries = new Boundaries(this.scene, {
      edit: this.host.edit,
      changed: (scene) => this.update(scene),
      say: (text) => this.say(text),
      trouble: (text) => { this.trouble.textContent = text; this.trouble.hidden = !text; },
    });
    this.below = h(
      "div",
      { class: "below" },
      this.boundaries.element,
      h("section", { "aria-label": "Measurements" }, h("h3", {}, "Measured"), this.table, h("h3", {}, "Signal quality"), this.notes, this.chance),
      h("section", { "aria-label": "Criteria" }, h("h3", {}, "Criteria met"), this.criteria),
    );
    const ecg = this.drawn ? this.buildStage() : h("p", { class: "quiet" }, "The ECG is not drawn: its samples are not at hand.");
    this.columns = h("div", { class: "columns" }, ecg, this.said, this.below);
    this.root.addEventListener("pointerdown", (event) => closeMenus(this.root, event.target));
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") closeMenus(this.root, null);
    });
    this.root.append(
      h("div", { class: "view" }, this.heading, this.trouble, this.columns, this.live,
        h("footer", {}, h("strong", {}, "Research software, not a medical device."), " Numbers by measurement; verdicts by the checker.")),
    );
  }

  buildStage() {
    this.stage = new Stage({
      picked: (hit) => this.pick(hit),
      hovered: (hit) => this.hover(hit),
      caliper: () => this.calipers.changed(),
      moved: () => this.followed(),
    });
    this.stage.element.addEventListener("keydown", (event) => onKey(this, event));
    this.stage.element.setAttribute("aria-describedby", "stage-help");
    this.tip = h("div", { class: "tip", hidden: true });
    this.stage.element.append(this.tip);
    this.navigator = new Navigator((second) => this.goTo(second));
    this.calipers = new CaliperBar(this.stage, {
      lead: () => this.lead,
      reveal: (second, lead) => this.reveal(second, lead),
      say: (text) => this.say(text),
    });
    this.toolbar = toolbar(this);
    return h(
      "section",
      { "aria-label": "ECG" },
      this.toolbar.element,
      this.stage.element,
      this.navigator.element,
      this.calipers.element,
      h("p", { class: "hint", id: "stage-help" }, "Drag to move the paper. After a click on it the wheel zooms. A click on a wave lists what is said of it."),
      this.types,
    );
  }

  // ---- what the page shows now

  /** Show another scene of the same recording: after an edit, or another text. */
  update(scene) {
    this.scene = scene;
    const { record } = scene;
    this.boundaries.set(scene);
    const long = record.duration_s > LONG_S;
    const about = [record.age !== null && record.age !== undefined ? `${record.age} years` : "", record.sex || "", long ? clock(record.duration_s, true) : `${record.duration_s} s`,
      `${record.leads.length} leads`, `${record.fs} Hz`, record.every > 1 ? `drawn from the lowest and highest of each ${record.every} samples` : ""];
    refill(this.heading, h("h2", {}, record.id), h("p", {}, about.filter(Boolean).join(" · ")));
    if (this.stage) {
      this.calipers.unit = record.unit;
      this.stage.setScene(scene);
      if (this.wavesFrom !== scene.waves) this.waves = wavesByLead(scene.waves);
      this.wavesFrom = scene.waves;
      const lead = this.stage.leads.get(this.lead);
      if (lead) this.navigator.set(lead, record.duration_s);
      this.replan();
    }
    const hasText = scene.statements.length > 0;
    this.said.hidden = !hasText;
    this.columns.classList.toggle("alone", !hasText);
    this.below.hidden = !scene.measured.length;
    if (this.chosen && !scene.statements.some((part) => part.index === this.chosen)) this.chosen = null;
    this.showStatements();
    this.showMeasured();
    lines(this.notes, scene.notes, "nothing found");
    refill(this.chance, chances(scene));
    this.boundaries.show(this.lead);
    this.mark();
  }

  showStatements() {
    const { scene } = this;
    const told = this.wave ? toldOf(this.wave, scene.statements).of : [];
    const measured = new Set(scene.measured.map((row) => row.quantity));
    const hooks = {
      measured,
      choose: (index) => this.select(index === this.chosen ? null : index),
      peek: (index) => { this.peeked = index; this.mark(); },
      toValue: (quantity) => this.toValue(quantity),
    };
    const kept = scene.statements.filter((part) => !this.filter || part.verdict === this.filter || part.claims.some((claim) => claim.verdict === this.filter));
    const focus = this.root.activeElement?.closest("[data-index]")?.dataset.index;
    refill(this.list, kept.map((part) =>
      statementItem(part, { chosen: part.index === this.chosen, told: told.includes(part.index), recheck: restsOn(part.evidence, this.boundaries.changed) }, hooks)));
    if (!kept.length) this.list.append(h("li", { class: "quiet" }, "No statement with this verdict."));
    if (focus) this.list.querySelector(`[data-index="${focus}"] .number`)?.focus({ preventScroll: true });
    refill(this.filters, Object.entries(scene.counts).map(([name, count]) =>
      h("button", { class: `chip ${name}`, type: "button", "data-verdict": name, "aria-pressed": String(this.filter === name), disabled: !count && this.filter !== name, onclick: () => this.setFilter(name) },
        h("b", { "aria-hidden": "true" }, SIGNS[name]), ` ${count} ${name.replace("_", " ")}`)));
  }

  showMeasured() {
    refill(this.table, measuredTable(this.scene, this.boundaries.changed, { show: (row) => this.showEvidence([row]) }));
    refill(this.criteria, criteriaList(this.scene, this.boundaries.changed, { show: (...parts) => this.showEvidence(parts) }));
    refill(this.types, this.scene.beats.type.length ? [h("span", { class: "quiet" }, "Beats:"), beatTypes(this.scene, this.beatType, { type: (type) => this.setBeatType(type) })] : null);
  }

  // ---- choosing

  /** Choose a statement; null chooses none. */
  select(index) {
    this.chosen = index;
    this.wave = null;
    this.about.hidden = true;
    this.showing = null;
    this.peeked = null;
    this.showStatements();
    this.mark();
    const statement = this.scene.statements.find((part) => part.index === index);
    if (statement && this.stage) {
      const first = statement.evidence.find((part) => part.spans_s.length);
      if (first) this.reveal(first.spans_s[0][0], null);
      const where = [...new Set(statement.evidence.map((part) => part.place).filter(Boolean))].slice(0, 2).join("; ");
      this.say(`Statement ${index}${where ? `: evidence in ${where}` : ": no place in the recording"}`);
    }
    this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
    if (this.host.selected) this.host.selected({ statement: index });
  }

  setFilter(name) {
    this.filter = this.filter === name ? null : name;
    this.showStatements();
    this.filters.querySelector(`[data-verdict=${name}]`)?.focus();
    this.say(`${this.list.querySelectorAll(".statement").length} statements shown`);
  }

  /** Mark evidence of a value or a criterion. */
  showEvidence(parts) {
    this.chosen = this.wave = null;
    this.about.hidden = true;
    this.showing = parts;
    this.showStatements();
    this.mark();
    this.stage?.element.scrollIntoView({ block: "nearest" });
    this.say(`${parts[0].name} ${parts[0].shown}: marked on the ECG`);
  }

  /** Go to the row of a measured value. */
  toValue(quantity) {
    const row = this.table.querySelector(`[data-quantity="${CSS.escape(quantity)}"]`);
    if (!row) return;
    this.table.querySelectorAll(".flash").forEach((other) => other.classList.remove("flash"));
    row.classList.add("flash");
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  }

  /** The wave at a place: the shortest that holds the time, else the nearest. */
  waveAt(lead, second) {
    const near = [];
    for (const list of [this.waves.get(lead) || [], this.waves.get("") || []]) {
      for (let k = firstAfter(list, second + NEAR_S, (wave) => wave.onset_s) - 1; k >= 0 && list[k].onset_s > second - WAVE_MAX_S; k--) {
        if (second <= list[k].offset_s + NEAR_S) near.push(list[k]);
      }
    }
    return near.sort((a, b) => a.offset_s - a.onset_s - (b.offset_s - b.onset_s))[0] || null;
  }

  pick(hit) {
    if (!hit || this.stage.tool === "calipers") return;
    this.chooseWave(this.waveAt(hit.lead, hit.time_s), hit);
  }

  /** List what is said of a wave. */
  chooseWave(wave, hit) {
    this.wave = wave;
    this.chosen = this.showing = null;
    this.about.hidden = !wave;
    if (wave) {
      this.lead = wave.lead || this.lead;
      const { of, whole } = toldOf(wave, this.scene.statements);
      const words = waveWords(wave, this.scene.record.duration_s > LONG_S);
      const entry = (index) => {
        const statement = this.scene.statements.find((part) => part.index === index);
        return h("li", {}, h("button", { class: "link", type: "button", onclick: () => this.select(index) }, `${index}. ${statement.text}`), " ", statement.verdict ? chip(statement.verdict) : null);
      };
      refill(this.about, h("p", {}, h("strong", {}, words)), of.length ? h("ul", {}, of.map(entry)) : h("p", {}, "Nothing is said of this wave itself."),
        whole.length ? h("p", { class: "quiet" }, `Of the whole recording: ${whole.length === 1 ? "statement" : "statements"} ${whole.join(", ")}.`) : null,
        h("button", { type: "button", onclick: () => this.chooseWave(null) }, "Close"));
      this.reveal((wave.onset_s + wave.offset_s) / 2, wave.lead);
      this.say(`${words}. ${of.length ? `Said of it: statement ${of.join(", ")}` : "Nothing is said of it"}`);
    }
    this.showStatements();
    this.mark();
    if (this.host.selected && (wave || hit)) {
      this.host.selected({ lead: wave?.lead || hit?.lead, time_s: hit ? hit.time_s : wave.onset_s, wave: wave?.wave ?? null, beat: wave?.beat ?? null });
    }
  }

  /** What the stage marks: a statement that is pointed at, else the chosen one, else evidence of a value. */
  mark() {
    if (!this.stage) return;
    const index = this.peeked ?? this.chosen;
    const statement = this.scene.statements.find((part) => part.index === index);
    this.stage.marks = spansByLead(statement ? statement.evidence : this.showing || []);
    this.stage.wave = this.wave;
    this.stage.bands = this.beatsOf(this.beatType).map((r_s) => [r_s - 0.12, r_s + 0.12]);
    this.stage.draw();
  }

  /** When the beats of a type are, s. */
  beatsOf(type) {
    const { beats } = this.scene;
    return type === null ? [] : beats.r_s.filter((r_s, k) => beats.type[k] === type);
  }

  setBeatType(type) {
    const beats = this.beatsOf(type);
    this.beatType = this.beatType === type ? null : type;
    if (this.beatType && this.stage) this.reveal(beats[0], null);
    this.showMeasured();
    this.mark();
    this.say(this.beatType ? `${beats.length} beats marked` : "no beats marked");
  }

  hover(hit) {
    const wave = hit && this.stage.tool === "pan" ? this.waveAt(hit.lead, hit.time_s) : null;
    this.tip.hidden = !wave;
    if (!wave) return;
    const { of } = toldOf(wave, this.scene.statements);
    this.tip.textContent = `${waveWords(wave, this.scene.record.duration_s > LONG_S)}${of.length ? ` · statement ${of.join(", ")}` : ""}`;
    const width = this.tip.offsetWidth;
    this.tip.style.left = `${clamp(hit.x + 14, 4, this.stage.width - width - 4)}px`;
    this.tip.style.top = `${hit.y > this.stage.height - 60 ? hit.y - 40 : hit.y + 18}px`;
  }

  // ---- how it is shown

  replan() {
    if (!this.stage) return;
    const shown = sheetLeads(this.scene.record).filter((name) => this.shown.has(name));
    this.toolbar.leadLabel.hidden = !["lead", "whole"].includes(this.layout) || this.overlay;
    this.toolbar.layouts.value = this.layout;
    this.toolbar.leadChoice.value = this.lead;
    this.stage.setPlan(this.layout, { shown, lead: this.lead, startS: this.startS, gain: this.gain, overlay: this.overlay });
    this.navigator.element.hidden = this.scene.record.duration_s <= PAGE_S + 0.5 && this.layout !== "lead";
    this.stage.element.setAttribute("aria-label", `ECG of ${this.scene.record.id}, ${this.toolbar.layouts.selectedOptions[0]?.textContent || ""}, leads ${this.stage.plan.panels.map((panel) => panel.lead).join(", ")}`);
    this.followed();
  }

  setLayout(name) {
    this.layout = name;
    this.calipers.set(null);
    this.replan();
  }

  setLead(name) {
    this.lead = name;
    this.calipers.set(null);
    this.navigator.set(this.stage.leads.get(name), this.scene.record.duration_s);
    this.replan();
  }

  toggleLead(name, box) {
    if (!box.checked && this.shown.size === 1) box.checked = true; // one stays
    if (box.checked) this.shown.add(name);
    else this.shown.delete(name);
    this.calipers.set(null);
    this.replan();
  }

  setOverlay(on) {
    this.overlay = on;
    if (on && !["12x1", "lead", "rhythm", "whole"].includes(this.layout)) this.layout = "12x1";
    this.calipers.set(null);
    this.replan();
    this.stage.fit();
  }

  /** Show a time at the left of the stage. */
  goTo(second) {
    if (this.stage.plan.time) {
      this.stage.camera.x = second * MM_PER_S;
      this.stage.hold();
      this.stage.draw();
      this.followed();
    } else {
      this.startS = clamp(second, 0, Math.max(0, this.scene.record.duration_s - PAGE_S));
      this.replan();
    }
  }

  /** Bring a time into sight, on another page if need be. */
  reveal(second, lead) {
    if (this.stage.show(second, lead) || this.stage.plan.time) return;
    const { startS } = this;
    if (second < startS || second > startS + PAGE_S) this.goTo(second - PAGE_S / 2);
    this.stage.show(second, lead);
  }

  /** The window of the overview follows the stage. */
  followed() {
    const { stage } = this;
    if (!stage.width) return;
    if (stage.plan.time) this.navigator.move(stage.camera.x / MM_PER_S, Math.min(this.scene.record.duration_s, (stage.camera.x + stage.width / stage.camera.kx) / MM_PER_S));
    else this.navigator.move(this.startS, Math.min(this.scene.record.duration_s, this.startS + PAGE_S));
  }

  /** Show the whole page. */
  fit() {
    this.stage.fit();
    this.followed();
  }

  toggleTheme() {
    const dark = coloursOf(this.outer).dark;
    this.outer.dataset.theme = dark ? "light" : "dark";
    this.colour();
  }

  colour() {
    this.colours = coloursOf(this.outer);
    if (!this.stage) return;
    this.stage.colours = this.colours;
    this.stage.forget();
    this.stage.draw();
    this.navigator.recolour(this.colours);
  }

  /** What was moved by hand, with its provenance; see `provenance`. */
  edits() {
    return this.boundaries.edits();
  }

  /** Tell those who can't see the page. */
  say(text) {
    this.live.textContent = text;
  }

  destroy() {
    this.dark.removeEventListener("change", this.recolour);
    this.stage?.destroy();
    this.boundaries.destroy();
    this.outer.remove();
  }
}
