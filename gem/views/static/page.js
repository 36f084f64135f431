// The page that is saved: the view takes the place of what is shown without scripts, which stays for print.
const place = document.getElementById("gem-view");
const scene = JSON.parse(document.getElementById("gem-scene").textContent);
// a photograph is in the page once
if (scene.picture) scene.picture.href = document.querySelector(".gem-static image").getAttribute("href");
const view = (place.view = mount(place, scene));
performance.mark("gem-view");
addEventListener("beforeprint", () => {
  const note = document.querySelector(".gem-print");
  const moved = view.edits();
  note.textContent = moved.edits.length
    ? `Boundaries were moved by hand; what is printed is as it was measured before. ${JSON.stringify(moved.edits)}`
    : "";
  note.hidden = !moved.edits.length;
});
