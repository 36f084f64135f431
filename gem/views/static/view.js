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
 * - `host.title`: false leaves out the header with the recording's name, where the host shows it.
 */

import { readingText } from "./calipers.js";
import { clamp, clock, h, refill } from "./dom.js";
import { BOUNDARY_NAMES, originals, provenance, recomputed, restsOn } from "./edits.js";
import { layoutNames, MM_PER_S, PAGE_S, rhythmLead, sheetLeads } from "./layouts.js";
import { MedianBeat } from "./median.js";
import { KEYS, onKey } from "./keys.js";
import { Navigator } from "./navigator.js";
import { beatTypes, chances, chip, criteriaList, lines, measuredTable, SIGNS, statementItem, toldOf, waveWords } from "./panels.js";
import { Stage } from "./stage.js";
import { coloursOf, STYLE } from "./style.js";

const INTERVAL_NAMES = [["pr", "PR"], ["p", "P"], ["qrs", "QRS"], ["qt", "QT"], ["qtc_fridericia", "QTc (Fridericia)"]];
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
    this.base = scene; // as first measured
    this.scene = scene;
    this.moved = Object.fromEntries(scene.edits.map((edit) => [edit.boundary, edit.to_ms]));
    this.undone = [];
    this.changed = {};
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
    this.end = "1"; // of the caliper, which the keys move
    this.drawn = scene.record.samples.length > 0;
    const narrow = element.clientWidth && element.clientWidth < 620;
    this.layout = scene.picture ? "picture" : scene.record.duration_s > 120 ? "rhythm" : scene.record.leads.length > 3 && !narrow ? "3x4" : "12x1";
    this.outer = h("div", { class: "gem-view", "data-lm-suppress-shortcuts": "true" });
    if (host.theme) this.outer.dataset.theme = host.theme;
    this.root = this.outer.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // not subject to a content security policy, as a style element is
    sheet.replaceSync(STYLE);
    this.root.adoptedStyleSheets = [sheet];
    element.append(this.outer);
    this.build();
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.colour();
    this.dark.addEventListener("change", this.recolour);
    this.colour();
    this.update(scene, true);
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
    this.below = h(
      "div",
      { class: "below" },
      this.buildMedian(),
      h("section", { "aria-label": "Measurements" }, h("h3", {}, "Measured"), this.table, h("h3", {}, "Signal quality"), this.notes, this.chance),
      h("section", { "aria-label": "Criteria" }, h("h3", {}, "Criteria met"), this.criteria),
    );
    const ecg = this.drawn ? this.buildStage() : h("p", { class: "quiet" }, "The ECG is not drawn: its samples are not at hand.");
    this.columns = h("div", { class: "columns" }, ecg, this.said, this.below);
    this.root.addEventListener("pointerdown", (event) => this.closeMenus(event.target));
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.closeMenus(null);
    });
    this.root.append(
      h("div", { class: "view" }, this.host.title === false ? null : this.heading, this.trouble, this.columns, this.live,
        h("footer", {}, h("strong", {}, "Research software, not a medical device."), " Numbers by measurement; verdicts by the checker.")),
    );
  }

  /** Close the menus that an element is not in. */
  closeMenus(target) {
    for (const menu of this.root.querySelectorAll(".menu[open]")) {
      if (menu.contains(target)) continue;
      const inside = menu.contains(this.root.activeElement);
      menu.open = false;
      if (inside) menu.querySelector("summary").focus();
    }
  }

  buildStage() {
    this.stage = new Stage({
      picked: (hit) => this.pick(hit),
      hovered: (hit) => this.hover(hit),
      caliper: () => this.caliperChanged(),
      moved: () => this.followed(),
    });
    this.stage.element.addEventListener("keydown", (event) => onKey(this, event));
    this.stage.element.setAttribute("aria-describedby", "stage-help");
    this.tip = h("div", { class: "tip", hidden: true });
    this.stage.element.append(this.tip);
    this.navigator = new Navigator((second) => this.goTo(second));
    const names = layoutNames(this.scene);
    this.layouts = h("select", { onchange: (event) => this.setLayout(event.target.value) }, names.map(([value, text]) => h("option", { value }, text)));
    this.leadChoice = h(
      "select",
      { onchange: (event) => this.setLead(event.target.value) },
      sheetLeads(this.scene.record).map((name) => h("option", { value: name, selected: name === this.lead }, name)),
    );
    this.leadLabel = h("label", {}, "Lead", this.leadChoice);
    const button = (text, label, act, more = {}) => h("button", { type: "button", "aria-label": label, title: label, onclick: act, ...more }, text);
    this.caliperButton = button("Calipers", "Calipers: measure time and voltage (c)", () => this.setTool(this.stage.tool === "calipers" ? "pan" : "calipers"), { "aria-pressed": "false" });
    this.marching = h("input", { type: "checkbox", onchange: (event) => this.setMarch(event.target.checked) });
    this.reading = h("output", {}, "Drag over the ECG");
    this.caliperStart = h("input", { type: "number", step: "0.01", min: "0", onchange: () => this.caliperTyped() });
    this.caliperLength = h("input", { type: "number", step: "1", min: "1", onchange: () => this.caliperTyped() });
    this.caliperBar = h(
      "div",
      { class: "bar caliper", role: "group", "aria-label": "Calipers", hidden: true },
      this.reading,
      h("label", {}, "from (s)", this.caliperStart),
      h("label", {}, "length (ms)", this.caliperLength),
      h("label", {}, this.marching, "march out"),
      button("Remove", "Remove the caliper", () => this.setCaliper(null)),
    );
    this.hint = h("p", { class: "hint", id: "stage-help" }, "Drag to move the paper. After a click on it the wheel zooms. A click on a wave lists what is said of it.");
    return h(
      "section",
      { "aria-label": "ECG" },
      h(
        "div",
        { class: "bar", role: "toolbar", "aria-label": "How the ECG is shown" },
        h("label", {}, "Layout", this.layouts),
        this.leadLabel,
        h("span", { class: "group" },
          button("−", "Zoom out (−)", () => this.stage.zoom(1 / 1.4)),
          button("Fit", "Whole page (0)", () => { this.stage.fit(); this.followed(); }),
          button("+", "Zoom in (+)", () => this.stage.zoom(1.4))),
        this.caliperButton,
        this.leadMenu(),
        this.gainChoice(),
        h("details", { class: "menu" }, h("summary", {}, "Keys"), h("div", {}, h("dl", {}, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])))),
        button("◐", "Light or dark", () => this.toggleTheme()),
      ),
      this.stage.element,
      this.navigator.element,
      this.caliperBar,
      this.hint,
      this.types,
    );
  }

  leadMenu() {
    const boxes = sheetLeads(this.scene.record).map((name) =>
      h("label", {}, h("input", { type: "checkbox", checked: true, onchange: (event) => this.toggleLead(name, event.target) }), name),
    );
    const overlay = h("input", { type: "checkbox", onchange: (event) => this.setOverlay(event.target.checked) });
    const over = this.scene.picture
      ? h("label", {}, h("input", { type: "checkbox", onchange: (event) => { this.stage.traceOverPicture = event.target.checked; this.stage.draw(); } }), "trace over the photograph")
      : null;
    return h("details", { class: "menu" }, h("summary", {}, "Leads"), h("div", {}, h("div", { class: "choices" }, boxes), h("label", {}, overlay, "on one line"), over));
  }

  gainChoice() {
    if (this.scene.record.unit !== "mV") return null;
    const values = [[0.5, "5 mm/mV"], [1, "10 mm/mV"], [2, "20 mm/mV"], [4, "40 mm/mV"]];
    return h("label", {}, h("span", { class: "hidden" }, "Gain"),
      h("select", { onchange: (event) => { this.gain = Number(event.target.value); this.replan(); } }, values.map(([value, text]) => h("option", { value, selected: value === 1 }, text))));
  }

  buildMedian() {
    this.median = new MedianBeat({
      preview: (name, ms) => this.values({ ...this.moved, [name]: ms }),
      moved: (name, ms) => this.move(name, ms),
    });
    this.intervals = h("div", { class: "values" });
    this.undoButton = h("button", { type: "button", onclick: () => this.undo() }, "Undo");
    this.exportButton = h("button", { type: "button", onclick: () => this.exportEdits() }, "Export edits");
    this.edited = h("p", { class: "quiet" });
    this.medianSection = h(
      "section",
      { class: "median wide", "aria-label": "Median beat" },
      h("h3", {}, "Median beat"),
      this.median.element,
      this.intervals,
      h("div", { class: "bar" }, this.undoButton, this.exportButton),
      this.edited,
    );
    return this.medianSection;
  }

  // ---- what the page shows now

  /** Show another scene of the same recording: after an edit, or another text. */
  update(scene, first = false) {
    this.scene = scene;
    const { record } = scene;
    if (!scene.edits.length && (first || !Object.keys(this.moved).length)) this.base = scene;
    this.changed = this.measuredAgain() ? {} : recomputed(this.base, this.moved);
    const long = record.duration_s > LONG_S;
    const about = [record.age !== null && record.age !== undefined ? `${record.age} years` : "", record.sex || "", long ? clock(record.duration_s, true) : `${record.duration_s} s`,
      `${record.leads.length} leads`, `${record.fs} Hz`, record.every > 1 ? `drawn from the lowest and highest of each ${record.every} samples` : ""];
    refill(this.heading, h("h2", {}, record.id), h("p", {}, about.filter(Boolean).join(" · ")));
    if (this.stage) {
      this.stage.setScene(scene);
      this.waves = wavesByLead(scene.waves);
      const lead = this.stage.leads.get(this.lead);
      if (lead) this.navigator.set(lead, record.duration_s, this.colours);
      this.replan();
    }
    const hasText = scene.statements.length > 0;
    this.said.hidden = !hasText;
    this.columns.classList.toggle("alone", !hasText);
    this.below.hidden = !scene.measured.length;
    this.medianSection.hidden = !scene.median;
    if (this.chosen && !scene.statements.some((part) => part.index === this.chosen)) this.chosen = null;
    this.showStatements();
    this.showMeasured();
    lines(this.notes, scene.notes, "nothing found");
    refill(this.chance, chances(scene));
    if (scene.median) this.showMedian();
    this.mark();
  }

  /** Whether what the scene says follows from the boundaries as they are now. */
  measuredAgain() {
    return !Object.keys(this.moved).length || this.scene.edits.length > 0;
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
      statementItem(part, { chosen: part.index === this.chosen, told: told.includes(part.index), recheck: restsOn(part.evidence, this.changed) }, hooks)));
    if (!kept.length) this.list.append(h("li", { class: "quiet" }, "No statement with this verdict."));
    if (focus) this.list.querySelector(`[data-index="${focus}"] .number`)?.focus({ preventScroll: true });
    refill(this.filters, Object.entries(scene.counts).map(([name, count]) =>
      h("button", { class: `chip ${name}`, type: "button", "data-verdict": name, "aria-pressed": String(this.filter === name), disabled: !count && this.filter !== name, onclick: () => this.setFilter(name) },
        h("b", { "aria-hidden": "true" }, SIGNS[name]), ` ${count} ${name.replace("_", " ")}`)));
  }

  showMeasured() {
    refill(this.table, measuredTable(this.scene, this.changed, { show: (row) => this.showEvidence([row]) }));
    refill(this.criteria, criteriaList(this.scene, this.changed, { show: (...parts) => this.showEvidence(parts) }));
    refill(this.types, this.scene.beats.length ? [h("span", { class: "quiet" }, "Beats:"), beatTypes(this.scene, this.beatType, { type: (type) => this.setBeatType(type) })] : null);
  }

  showMedian() {
    const boundaries = { ...this.scene.median.boundaries, ...this.moved };
    this.median.set(this.scene.median, boundaries, this.moved, this.lead);
    this.values(this.moved);
    const names = Object.keys(this.moved);
    this.undoButton.disabled = !names.length;
    this.exportButton.disabled = !names.length;
    this.edited.textContent = !names.length
      ? "Drag a boundary, or choose it and press the arrow keys (1 ms; with Shift 10 ms)."
      : `Boundaries moved by hand: ${names.map((name) => `${BOUNDARY_NAMES[name]} to ${Math.round(this.moved[name])} ms`).join(", ")}. ${
        this.measuredAgain() ? "Intervals, findings and verdicts follow from them." : "Intervals follow; statements that rest on them are to be re-checked."}`;
  }

  /** Intervals with these boundaries: as measured again where that is done, else as the page computes them. */
  values(moved) {
    const changed = moved === this.moved && this.measuredAgain() ? differing(this.base.intervals, this.scene.intervals) : recomputed(this.base, moved);
    refill(this.intervals, INTERVAL_NAMES.map(([name, words]) => {
      const was = this.base.intervals[name];
      if (was === null || was === undefined) return null;
      const now = name in changed ? changed[name] : was;
      return h("span", { "data-interval": name }, `${words} `, h("b", { class: name in changed ? "changed" : null }, `${Math.round(now)} ms`), name in changed ? ` (was ${Math.round(was)})` : null);
    }));
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
    const near = [...(this.waves.get(lead) || []), ...(this.waves.get("") || [])].filter((wave) => second >= wave.onset_s - NEAR_S && second <= wave.offset_s + NEAR_S);
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
    this.stage.marks = spansByLead(statement ? statement.evidence : this.showing || [], this.scene.record);
    this.stage.wave = this.wave;
    this.stage.bands = this.scene.beats.filter((beat) => beat.type === this.beatType).map((beat) => [beat.r_s - 0.12, beat.r_s + 0.12]);
    this.stage.draw();
  }

  setBeatType(type) {
    const beats = this.scene.beats.filter((beat) => beat.type === type);
    this.beatType = this.beatType === type ? null : type;
    if (this.beatType && this.stage) this.reveal(beats[0].r_s, null);
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
    this.leadLabel.hidden = !["lead", "whole"].includes(this.layout) || this.overlay;
    this.layouts.value = this.layout;
    this.leadChoice.value = this.lead;
    this.stage.setPlan(this.layout, { shown, lead: this.lead, startS: this.startS, gain: this.gain, overlay: this.overlay });
    this.navigator.element.hidden = this.scene.record.duration_s <= PAGE_S + 0.5 && this.layout !== "lead";
    this.stage.element.setAttribute("aria-label", `ECG of ${this.scene.record.id}, ${this.layouts.selectedOptions[0]?.textContent || ""}, leads ${this.stage.plan.panels.map((panel) => panel.lead).join(", ")}`);
    this.followed();
  }

  setLayout(name) {
    this.layout = name;
    this.setCaliper(null);
    this.replan();
  }

  setLead(name) {
    this.lead = name;
    this.setCaliper(null);
    this.navigator.set(this.stage.leads.get(name), this.scene.record.duration_s, this.colours);
    this.replan();
  }

  toggleLead(name, box) {
    if (!box.checked && this.shown.size === 1) box.checked = true; // one stays
    if (box.checked) this.shown.add(name);
    else this.shown.delete(name);
    this.setCaliper(null);
    this.replan();
  }

  setOverlay(on) {
    this.overlay = on;
    if (on && !["12x1", "lead", "rhythm", "whole"].includes(this.layout)) this.layout = "12x1";
    this.setCaliper(null);
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
    if (this.navigator.lead) this.navigator.set(this.navigator.lead, this.scene.record.duration_s, this.colours);
  }

  // ---- calipers

  setTool(tool) {
    this.stage.tool = tool;
    this.caliperButton.setAttribute("aria-pressed", String(tool === "calipers"));
    this.stage.element.classList.toggle("measuring", tool === "calipers");
    this.caliperBar.hidden = tool !== "calipers";
    this.tip.hidden = true;
    if (tool !== "calipers") this.setCaliper(null);
    else this.say("Calipers on: drag over the ECG, or press the arrow keys");
  }

  setMarch(on) {
    this.stage.march = on;
    this.marching.checked = on;
    this.stage.draw();
  }

  /** @param {?object} caliper see calipers.js */
  setCaliper(caliper) {
    this.stage.caliper = caliper;
    this.caliperChanged();
    this.stage.draw();
  }

  caliperChanged() {
    const { caliper } = this.stage;
    this.reading.textContent = caliper ? `${caliper.lead}: ${readingText(caliper, this.scene.record.unit)}` : "Drag over the ECG";
    this.caliperStart.value = caliper ? Math.min(caliper.t0, caliper.t1).toFixed(3) : "";
    this.caliperLength.value = caliper ? Math.round(Math.abs(caliper.t1 - caliper.t0) * 1000) : "";
  }

  caliperTyped() {
    const start = Number(this.caliperStart.value);
    const length = Number(this.caliperLength.value) / 1000;
    if (!(length > 0) || !Number.isFinite(start)) return;
    const caliper = this.stage.caliper || this.newCaliper();
    this.setCaliper({ ...caliper, t0: start, t1: start + length });
    this.reveal(start, caliper.lead);
  }

  /** 200 ms in the middle of what is in sight, in the lead that was last chosen. */
  newCaliper() {
    const { stage } = this;
    const number = Math.max(0, stage.plan.panels.findIndex((panel) => panel.lead === this.lead));
    const panel = stage.plan.panels[number];
    const [from, to] = stage.visible(panel);
    const middle = (from + to) / 2;
    return { lead: panel.lead, panel: number, t0: middle - 0.1, t1: middle + 0.1, v0: panel.zero, v1: panel.zero };
  }

  // ---- boundaries

  /** Move a boundary of the median beat. @param {number} ms after the R @returns {Promise<void>} */
  async move(boundary, ms) {
    const from = originals(this.scene)[boundary];
    const moved = { ...this.moved, [boundary]: ms };
    if (Math.abs(ms - from) < 0.05) delete moved[boundary];
    this.undone.push(this.moved);
    await this.apply(moved);
  }

  async undo() {
    await this.apply(this.undone.pop() || {});
  }

  async apply(moved) {
    const before = this.moved;
    this.moved = moved;
    this.trouble.hidden = true;
    if (!this.host.edit) {
      this.update(this.scene);
    } else {
      this.medianSection.setAttribute("aria-busy", "true");
      try {
        const scene = await this.host.edit({ ...moved });
        if (this.moved !== moved) return; // moved on meanwhile
        this.update(scene);
      } catch (error) {
        this.moved = before;
        this.update(this.scene);
        this.trouble.textContent = `The edit was not accepted: ${error.message || error}`;
        this.trouble.hidden = false;
        return;
      } finally {
        this.medianSection.removeAttribute("aria-busy");
      }
    }
    const values = [...this.intervals.children].map((part) => part.textContent).join(", ");
    this.say(`${Object.keys(moved).length ? "Boundary moved" : "No boundary is moved"}. ${values}`);
  }

  /** The edits with their provenance, as the file that "Export edits" saves. */
  edits() {
    return provenance(this.base, this.moved, this.measuredAgain() ? this.scene.intervals : this.changed, this.measuredAgain());
  }

  exportEdits() {
    const blob = new Blob([JSON.stringify(this.edits(), null, 1)], { type: "application/json" });
    const link = h("a", { href: URL.createObjectURL(blob), download: `${this.scene.record.id.replace(/[^\w.-]+/g, "_") || "recording"}-edits.json` });
    this.root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** Tell those who can't see the page. */
  say(text) {
    this.live.textContent = text;
  }

  destroy() {
    this.dark.removeEventListener("change", this.recolour);
    this.stage?.destroy();
    this.median.destroy();
    this.outer.remove();
  }
}

/** The values of `now` that are others than in `was`. */
function differing(was, now) {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== null && value !== was[name]));
}

function wavesByLead(waves) {
  const out = new Map();
  for (const wave of waves) {
    if (!out.has(wave.lead)) out.set(wave.lead, []);
    out.get(wave.lead).push(wave);
  }
  for (const list of out.values()) list.sort((a, b) => a.onset_s - b.onset_s);
  return out;
}

/** Stretches of each lead; "" are those of the recording as a whole, which the strips show. */
function spansByLead(evidence, record) {
  const out = new Map();
  const add = (lead, span) => {
    if (!out.has(lead)) out.set(lead, new Map());
    out.get(lead).set(span.join(" "), span);
  };
  for (const part of evidence) {
    for (const span of part.spans_s) {
      const whole = !part.leads.length || (part.leads.length > 6 && span[1] - span[0] > 2.5);
      for (const lead of whole ? [""] : part.leads) add(lead, span);
    }
  }
  return new Map([...out].map(([lead, spans]) => [lead, [...spans.values()].sort((a, b) => a[0] - b[0])]));
}
