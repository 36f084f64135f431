/** The bar above the ECG: layout, zoom, leads, gain, keys, light or dark. */

import { h } from "./dom.js";
import { KEYS } from "./keys.js";
import { layoutNames, sheetLeads } from "./layouts.js";

/**
 * @param {object} view whose ECG it changes
 * @returns {{element: HTMLElement, layouts: HTMLSelectElement, leadLabel: HTMLElement, leadChoice: HTMLSelectElement}}
 */
export function toolbar(view) {
  const { scene } = view;
  const layouts = h("select", { onchange: (event) => view.setLayout(event.target.value) }, layoutNames(scene).map(([value, text]) => h("option", { value }, text)));
  const leadChoice = h(
    "select",
    { onchange: (event) => view.setLead(event.target.value) },
    sheetLeads(scene.record).map((name) => h("option", { value: name, selected: name === view.lead }, name)),
  );
  const leadLabel = h("label", {}, "Lead", leadChoice);
  const button = (text, label, act) => h("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
  const element = h(
    "div",
    { class: "bar", role: "toolbar", "aria-label": "How the ECG is shown" },
    h("label", {}, "Layout", layouts),
    leadLabel,
    h("span", { class: "group" },
      button("−", "Zoom out (−)", () => view.stage.zoom(1 / 1.4)),
      button("Fit", "Whole page (0)", () => view.fit()),
      button("+", "Zoom in (+)", () => view.stage.zoom(1.4))),
    view.calipers.button,
    leadMenu(view),
    gainChoice(view),
    h("details", { class: "menu" }, h("summary", {}, "Keys"), h("div", {}, h("dl", {}, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])))),
    button("◐", "Light or dark", () => view.toggleTheme()),
  );
  return { element, layouts, leadLabel, leadChoice };
}

function leadMenu(view) {
  const boxes = sheetLeads(view.scene.record).map((name) =>
    h("label", {}, h("input", { type: "checkbox", checked: true, onchange: (event) => view.toggleLead(name, event.target) }), name),
  );
  const overlay = h("input", { type: "checkbox", onchange: (event) => view.setOverlay(event.target.checked) });
  const over = view.scene.picture
    ? h("label", {}, h("input", { type: "checkbox", onchange: (event) => { view.stage.traceOverPicture = event.target.checked; view.stage.draw(); } }), "trace over the photograph")
    : null;
  return h("details", { class: "menu" }, h("summary", {}, "Leads"), h("div", {}, h("div", { class: "choices" }, boxes), h("label", {}, overlay, "on one line"), over));
}

function gainChoice(view) {
  if (view.scene.record.unit !== "mV") return null;
  const values = [[0.5, "5 mm/mV"], [1, "10 mm/mV"], [2, "20 mm/mV"], [4, "40 mm/mV"]];
  return h("label", {}, h("span", { class: "hidden" }, "Gain"),
    h("select", { onchange: (event) => { view.gain = Number(event.target.value); view.replan(); } }, values.map(([value, text]) => h("option", { value, selected: value === 1 }, text))));
}

/** Close the menus of a view that an element is not in. @param {ShadowRoot} root @param {?Element} target */
export function closeMenus(root, target) {
  for (const menu of root.querySelectorAll(".menu[open]")) {
    if (menu.contains(target)) continue;
    const inside = menu.contains(root.activeElement);
    menu.open = false;
    if (inside) menu.querySelector("summary").focus();
  }
}
