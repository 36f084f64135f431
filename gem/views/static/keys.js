/**
 * The keys of the ECG.
 */

import { PAGE_S, sheetLeads } from "./layouts.js";

/** What each does, in words. */
export const KEYS = [
  ["← → ↑ ↓", "move the paper"],
  ["+ −", "zoom"],
  ["0", "whole page"],
  ["n p", "next, previous wave"],
  ["l", "next lead"],
  ["Enter", "what is said of the wave"],
  ["PgUp PgDn", "earlier, later"],
  ["c", "calipers on or off"],
  ["m", "march the caliper out"],
  ["x", "other end of the caliper"],
  ["Esc", "nothing chosen"],
];

/** What a key does, when the ECG has the focus. @param {object} view @param {KeyboardEvent} event */
export function onKey(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { stage } = view;
  const far = event.shiftKey ? 200 : 40;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const actions = {
    "+": () => stage.zoom(1.25),
    "=": () => stage.zoom(1.25),
    "-": () => stage.zoom(1 / 1.25),
    0: () => view.fit(),
    c: () => view.calipers.toggle(),
    m: () => view.calipers.march(!stage.march),
    x: () => view.calipers.otherEnd(),
    n: () => stepWave(view, 1),
    p: () => stepWave(view, -1),
    l: () => stepLead(view, event.shiftKey ? -1 : 1),
    Enter: () => view.wave && (view.list.querySelector(".told .number") || view.list.querySelector(".number"))?.focus(),
    PageDown: () => turnPage(view, 1),
    PageUp: () => turnPage(view, -1),
    Home: () => view.goTo(0),
    End: () => view.goTo(view.scene.record.duration_s),
    Escape: () => (stage.tool === "calipers" ? view.calipers.toggle() : view.chooseWave(null)),
  };
  if (event.key in arrows) {
    const [dx, dy] = arrows[event.key];
    if (stage.tool === "calipers") view.calipers.nudge(dx * (event.shiftKey ? 0.04 : 0.004), -dy * (event.shiftKey ? 0.5 : 0.05));
    else stage.pan(dx * far, dy * far);
  } else {
    const action = actions[event.key] || actions[event.key.toLowerCase()];
    if (!action) return;
    action();
  }
  event.preventDefault();
  event.stopPropagation();
}

function turnPage(view, direction) {
  const { stage } = view;
  if (stage.plan.time) stage.pan(direction * stage.width * 0.9, 0);
  else if (view.scene.record.duration_s > PAGE_S) view.goTo(view.startS + direction * PAGE_S);
  else stage.pan(0, direction * stage.height * 0.8);
}

function stepWave(view, direction) {
  const list = view.waves.get(view.lead) || view.waves.get("") || [];
  if (!list.length) return;
  const panel = view.stage.plan.panels.find((one) => one.lead === view.lead);
  const from = view.wave ? view.wave.onset_s : panel ? view.stage.visible(panel)[0] - 1e-6 : 0;
  const next = direction > 0 ? list.find((wave) => wave.onset_s > from) : list.findLast((wave) => wave.onset_s < from);
  if (next) view.chooseWave(next);
}

function stepLead(view, direction) {
  const names = sheetLeads(view.scene.record).filter((name) => view.shown.has(name));
  view.lead = names[(names.indexOf(view.lead) + direction + names.length) % names.length];
  if (view.layout === "lead" || view.layout === "whole") view.setLead(view.lead);
  const same = view.wave && (view.waves.get(view.lead) || []).find((wave) => wave.beat === view.wave.beat && wave.wave === view.wave.wave);
  if (same) view.chooseWave(same);
  else view.say(`Lead ${view.lead}`);
}
