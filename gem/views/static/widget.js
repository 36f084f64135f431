// What anywidget runs in a notebook's cell, after the view: Python holds the explanation, the cell shows its scene.

/** "dark" or "light" where the notebook says so (JupyterLab, VS Code, Colab), else as the reader's system has it. */
function notebookTheme() {
  const { body, documentElement: root } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "true" ? "light" : "dark";
  const code = body.dataset.vscodeThemeKind || "";
  if (code) return code.includes("light") ? "light" : "dark";
  return root.getAttribute("theme") || undefined;
}

function render({ model, el }) {
  const scene = () => {
    const { median, ...stays } = model.get("_recording");
    const { boundaries, ...changes } = model.get("_said");
    return { ...stays, ...changes, median: median && { ...median, boundaries } };
  };
  const key = Math.random().toString(36).slice(2); // the same widget may be shown in several cells
  const waiting = new Map();
  let asked = 0;
  let view = null;
  let frame = 0;
  const start = () => {
    if (!el.isConnected) {
      frame = requestAnimationFrame(start); // outside the page an element has neither size nor colours
      return;
    }
    view = mount(el, scene(), {
      theme: notebookTheme(),
      selected: (chosen) => model.send({ kind: "selected", chosen }),
      edit: (moved) =>
        new Promise((resolve, reject) => {
          const id = `${key}-${++asked}`;
          waiting.set(id, { resolve, reject });
          model.send({ kind: "edit", id, moved });
        }),
    });
  };
  start();
  const heard = (message) => {
    if (message.kind === "edited" && waiting.has(message.id)) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(message.error));
      else resolve(scene());
    } else if (message.kind === "select" && view && view.chosen !== message.statement) {
      view.select(message.statement);
    }
  };
  const changed = () => {
    if (!view || waiting.size) return; // the answer to this cell's own edit
    const now = scene();
    view.boundaries.take(now);
    view.update(now);
  };
  model.on("msg:custom", heard);
  model.on("change:_said", changed);
  const themes = new MutationObserver(() => {
    const theme = notebookTheme();
    if (!view || !theme || view.outer.dataset.theme === theme) return;
    view.outer.dataset.theme = theme;
    view.colour();
  });
  for (const element of [document.body, document.documentElement]) themes.observe(element, { attributes: true });
  return () => {
    cancelAnimationFrame(frame);
    themes.disconnect();
    model.off("msg:custom", heard);
    model.off("change:_said", changed);
    if (view) view.destroy();
  };
}

export default { render };
