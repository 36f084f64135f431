/** The page of gem app: what is open, and which panel is shown. */

import { h, refill } from "./dom.js";
import { chatPanel, comparePanel, exportPanel, TextPanel } from "./panels.js";
import { get, post, remove, send } from "./server.js";
import { FolderTable } from "./table.js";
import { mount } from "./view.js";

const byId = (id) => document.getElementById(id);
const PANELS = [["text", "Text"], ["compare", "Compare"], ["chat", "Chat"], ["export", "Export"]];

class Page {
  constructor() {
    Object.assign(this, { model: "gem-nano", opened: new Map(), current: null, view: null, panel: "text", text: null });
    this.tabs = PANELS.map(([name, words]) => h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "panels", onclick: () => this.choose(name), onkeydown: (event) => this.turn(event),
    }, words));
    refill(byId("tabs"), this.tabs);
    byId("panels").setAttribute("role", "tabpanel");
    byId("files").addEventListener("change", (event) => {
      this.take([...event.target.files]);
      event.target.value = "";
    });
    for (const name of ["dragover", "drop"]) {
      document.addEventListener(name, (event) => {
        if (![...event.dataTransfer.types].includes("Files")) return;
        event.preventDefault(); // else the browser leaves the page for the file
        byId("drop").classList.toggle("over", name === "dragover");
        if (name === "drop") this.take([...event.dataTransfer.files]);
      });
    }
    document.addEventListener("dragleave", (event) => event.relatedTarget || byId("drop").classList.remove("over"));
    this.start();
  }

  async start() {
    try {
      const state = await get("/api/status");
      this.model = state.model;
      byId("model-name").textContent = state.model;
      if (state.folder) this.folder = new FolderTable(byId("folder"), (row, name) => this.openRow(row, name));
      for (const one of state.open) this.opened.set(one.id, one);
      const last = state.open.at(-1);
      if (last) await this.show(last.id);
    } catch (error) {
      this.trouble(error.message);
    }
  }

  say(words) {
    byId("status").textContent = words;
  }

  trouble(words) {
    byId("trouble").textContent = words || "";
    byId("trouble").hidden = !words;
  }

  /** @param {File[]} files */
  async take(files) {
    if (!files.length) return;
    const fields = Object.fromEntries([...byId("drop").querySelectorAll(".fields [name]")].map((input) => [input.name, input.value]));
    await this.open(files.map((file) => file.name).join(", "), () => send(files, fields));
  }

  async openRow(row, name) {
    await this.open(name, () => post("/api/folder/open", { row }));
    byId("work").scrollIntoView({ block: "start" });
  }

  async open(name, request) {
    this.trouble();
    this.say(`Reading ${name} ...`);
    byId("main").setAttribute("aria-busy", "true");
    try {
      const answer = await request();
      for (const one of answer.opened) this.opened.set(one.id, one);
      this.trouble(answer.failed.map((one) => `${one.name}: ${one.error}`).join(" "));
      this.say(answer.opened.length ? `${answer.opened.map((one) => one.name).join(", ")}: read and measured.` : "");
      if (answer.opened.length) {
        await this.show(answer.opened[0].id);
        if (document.querySelector("[name=says]:checked").value === "model") {
          for (const one of answer.opened) await this.describe(one.id);
        }
      }
    } catch (error) {
      this.say("");
      this.trouble(error.message);
    } finally {
      byId("main").removeAttribute("aria-busy");
    }
  }

  async describe(id) {
    this.say(`${this.model} is asked; loading it takes a while at first ...`);
    this.replace(await post(`/api/records/${id}/model`, {}));
    this.say(`${this.model} described it.`);
  }

  /** Take all of a recording again, after the model spoke. */
  replace(answer) {
    const one = Object.assign(this.opened.get(answer.id) || {}, answer);
    this.opened.set(answer.id, one);
    if (this.current === answer.id) this.show(answer.id);
  }

  async show(id) {
    const one = this.opened.get(id);
    if (id !== this.current) this.text?.leave();
    if (!one.scene) Object.assign(one, await get(`/api/records/${id}`));
    this.current = id;
    this.text = null;
    this.view?.destroy();
    byId("work").hidden = false;
    refill(byId("view"));
    this.view = mount(byId("view"), one.scene, { edit: (boundaries) => this.edit(one, boundaries) });
    this.list();
    this.choose(this.panel);
  }

  async edit(one, boundaries) {
    one.edits = (one.edits || 0) + 1;
    const number = one.edits;
    const answer = await post(`/api/records/${one.id}/edit`, { boundaries });
    if (number === one.edits) {
      one.scene = answer.scene;
      if (this.current === one.id) this.text?.show(one.scene);
    }
    return answer.scene;
  }

  list() {
    byId("open").hidden = !this.opened.size;
    refill(byId("open"), h("ul", {}, [...this.opened.values()].map((one) => h("li", {},
      h("button", { type: "button", "aria-current": one.id === this.current ? "true" : null, onclick: () => this.show(one.id) }, one.name),
      h("button", { type: "button", class: "close", "aria-label": `close ${one.name}`, onclick: () => this.close(one.id) }, "\u00d7")))));
  }

  async close(id) {
    await remove(`/api/records/${id}`);
    this.opened.delete(id);
    this.list();
    if (id !== this.current) return;
    this.view?.destroy();
    this.view = null;
    byId("work").hidden = true;
    const next = [...this.opened.keys()].at(-1);
    if (next) await this.show(next);
  }

  turn(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = PANELS.findIndex(([name]) => name === this.panel);
    this.choose(PANELS[(at + step + PANELS.length) % PANELS.length][0]);
    this.tabs.find((tab) => tab.getAttribute("aria-selected") === "true").focus();
  }

  choose(name) {
    this.panel = name;
    this.text?.leave();
    this.text = null;
    this.tabs.forEach((tab, k) => {
      const chosen = PANELS[k][0] === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    });
    byId("panels").setAttribute("aria-labelledby", `tab-${name}`);
    const one = this.opened.get(this.current);
    const hooks = {
      model: this.model,
      others: () => [...this.opened.values()].filter((other) => other.id !== one.id),
      replaced: (answer) => this.replace(answer),
      spoken: (part) => {
        one.scene = { ...one.scene, ...part };
        if (this.current !== one.id) return; // another recording was chosen meanwhile
        this.text?.show(one.scene);
        this.view.update(one.scene);
      },
    };
    if (name === "text") this.text = new TextPanel(one, hooks);
    const made = { text: () => this.text.element, compare: () => comparePanel(one, hooks), chat: () => chatPanel(one, hooks), export: () => exportPanel(one) };
    refill(byId("panels"), made[name]());
  }
}

new Page();
