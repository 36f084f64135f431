/** The look of the view. Verdicts differ by sign and word as well as by colour. */

export const STYLE = `
:host{--paper:#fffdfb;--thin:#f7e3df;--thick:#e9beb7;--trace:#15161c;--ink:#1b1d2a;--soft:#555a6b;--line:#ddd8d4;--ground:#fff;--raised:#f7f6f5;
--blue:#1d4ed8;--mark:rgba(37,99,235,.15);--chosen:rgba(230,140,0,.26);--edge:#1d4ed8;--caliper:#7c2d92;--hatch:rgba(70,74,90,.45);--beat:#a33c00;--hover:#edf2ff;
--good:#14632f;--bad:#9b1c1c;--doubt:#7a4300;--none:#4a4e5e;color-scheme:light;display:block}
@media (prefers-color-scheme:dark){:host(:not([data-theme=light])){--paper:#14161b;--thin:#22262e;--thick:#363c47;--trace:#eef1f5;--ink:#e8eaf0;--soft:#a9afbd;--line:#363b45;--ground:#191c22;--raised:#21252c;
--blue:#8fb4ff;--mark:rgba(110,160,255,.24);--chosen:rgba(240,170,60,.34);--edge:#8fb4ff;--caliper:#e3a6f5;--hatch:rgba(170,178,196,.4);--beat:#ffb37a;--hover:#252d3d;
--good:#7fd69b;--bad:#ff9d94;--doubt:#f3c06b;--none:#b9bfcc;color-scheme:dark}}
:host([data-theme=dark]){--paper:#14161b;--thin:#22262e;--thick:#363c47;--trace:#eef1f5;--ink:#e8eaf0;--soft:#a9afbd;--line:#363b45;--ground:#191c22;--raised:#21252c;
--blue:#8fb4ff;--mark:rgba(110,160,255,.24);--chosen:rgba(240,170,60,.34);--edge:#8fb4ff;--caliper:#e3a6f5;--hatch:rgba(170,178,196,.4);--beat:#ffb37a;--hover:#252d3d;
--good:#7fd69b;--bad:#ff9d94;--doubt:#f3c06b;--none:#b9bfcc;color-scheme:dark}
*{box-sizing:border-box}
.view{color:var(--ink);background:var(--ground);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;padding:14px 18px;container-type:inline-size;text-align:left}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:0 1rem;margin-bottom:8px}
h2{font-size:1.3rem;line-height:1.3;margin:0;overflow-wrap:anywhere}
h3{font-size:1rem;margin:0 0 6px}
header p{margin:0;color:var(--soft)}
.columns{display:grid;grid-template-columns:minmax(0,1fr);gap:18px}
@container (min-width:1040px){.columns:not(.alone){grid-template-columns:minmax(0,1fr) 390px;grid-template-rows:auto 1fr}.columns:not(.alone) .said{grid-column:2;grid-row:1/3}
.columns:not(.alone) .below{grid-column:1}.said>div{position:sticky;top:12px;max-height:calc(100vh - 30px);overflow:auto;padding:2px}}
.below{display:grid;grid-template-columns:minmax(0,1fr);gap:22px}
.below h3:not(:first-child){margin-top:20px}
@container (min-width:760px){.below{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}.wide{grid-column:1/-1}}
.bar{display:flex;flex-wrap:wrap;gap:6px 10px;align-items:center;margin-bottom:8px}
.group{display:inline-flex;gap:0}
.group button+button{border-left:0}
.group button:not(:first-child){border-top-left-radius:0;border-bottom-left-radius:0}
.group button:not(:last-child){border-top-right-radius:0;border-bottom-right-radius:0}
button,select,input,summary{font:inherit;color:inherit}
button,select,input[type=number],.menu>summary{background:var(--raised);border:1px solid var(--line);border-radius:6px;min-height:32px;padding:2px 10px}
button,summary{cursor:pointer}
button:hover,.menu>summary:hover{background:var(--hover)}
button[aria-pressed=true]{background:var(--blue);border-color:var(--blue);color:var(--ground)}
button:disabled{opacity:.5;cursor:default}
:focus-visible{outline:2px solid var(--blue);outline-offset:1px}
label{display:inline-flex;gap:6px;align-items:center}
input[type=number]{width:5.6rem}
.menu{position:relative}
.menu>summary{list-style:none;display:inline-flex;align-items:center}
.menu>summary::-webkit-details-marker{display:none}
.menu>div{position:absolute;z-index:5;top:36px;left:0;background:var(--ground);border:1px solid var(--line);border-radius:8px;padding:10px 14px;box-shadow:0 6px 24px rgba(0,0,0,.18);width:max-content;max-width:min(330px,88vw)}
.choices{display:grid;grid-template-columns:repeat(3,auto);gap:4px 16px;margin-bottom:8px}
.menu dl{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;margin:0;font-size:.88rem}
.menu dd{margin:0}
kbd{font:600 .85em ui-monospace,monospace;border:1px solid var(--line);border-radius:4px;padding:0 4px;white-space:nowrap}
.stage{position:relative;border:1px solid var(--line);border-radius:6px;overflow:hidden;touch-action:pan-y;cursor:grab;user-select:none;-webkit-user-select:none;background:var(--paper);min-height:160px}
.stage.dragging{cursor:grabbing}
.stage.measuring{cursor:crosshair;touch-action:none}
.stage canvas{display:block;width:100%;height:100%}
.tip{position:absolute;pointer-events:none;background:var(--ink);color:var(--ground);border-radius:5px;padding:2px 8px;font-size:.82rem;max-width:min(320px,90%);z-index:3}
.overview{position:relative;height:46px;margin-top:6px;border:1px solid var(--line);border-radius:6px;background:var(--paper);overflow:hidden;touch-action:none;cursor:pointer}
.overview canvas{display:block;width:100%;height:100%}
.hint,.quiet{color:var(--soft);font-size:.86rem;margin:6px 0 0}
.caliper{background:var(--raised);border-radius:6px;padding:6px 10px;margin-top:8px}
.caliper output{font-weight:600;font-variant-numeric:tabular-nums;color:var(--caliper);min-width:13rem}
ol,ul{list-style:none;margin:0;padding:0}
.statement{border-top:1px solid var(--line);padding:8px 8px 8px 6px;display:grid;grid-template-columns:30px minmax(0,1fr);gap:0 8px;cursor:pointer;scroll-margin:60px}
.statement:hover{background:var(--hover)}
.statement.chosen{background:var(--hover);box-shadow:inset 3px 0 var(--blue)}
.statement.told{box-shadow:inset 3px 0 var(--beat)}
.number{width:26px;height:26px;min-height:0;padding:0;border-radius:50%;background:var(--blue);border:0;color:var(--ground);font-weight:700;font-size:.8rem}
.number:hover{background:var(--ink)}
.statement p{margin:0;overflow-wrap:anywhere}
.chip{display:inline-block;padding:0 .5rem;border-radius:.7rem;font-size:.78rem;border:1px solid currentColor;white-space:nowrap;background:var(--ground);vertical-align:.08em}
button.chip{min-height:26px;font-size:.84rem}
button.chip[aria-pressed=true]{background:var(--ink);color:var(--ground);border-color:var(--ink)}
.supported{color:var(--good)}.contradicted{color:var(--bad)}.unsupported{color:var(--doubt)}.not_checkable,.kind{color:var(--none)}.recheck{color:var(--caliper)}
.claim{text-decoration-thickness:2px;text-underline-offset:3px;color:inherit}
.claim.supported{text-decoration:none}
.claim.contradicted{text-decoration:underline wavy var(--bad)}
.claim.unsupported{text-decoration:underline dashed var(--doubt)}
.claim.not_checkable{text-decoration:underline dotted var(--none)}
.proof{grid-column:2;color:var(--soft);font-size:.88rem;font-variant-numeric:tabular-nums;margin-top:4px}
.proof li{padding:1px 0;overflow-wrap:anywhere}
.proof .reason{color:var(--ink)}
.link{background:none;border:0;padding:0;min-height:0;color:var(--blue);text-decoration:underline;text-underline-offset:2px;text-align:left}
.link:hover{background:none;text-decoration-thickness:2px}
.about{border:1px solid var(--line);border-left:4px solid var(--beat);border-radius:6px;padding:8px 10px;margin:0 0 10px;background:var(--raised)}
.about p{margin:0 0 4px}
.about li{padding:2px 0}
.filters{display:flex;flex-wrap:wrap;gap:6px;margin:0 0 8px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:500}
td{color:var(--soft);overflow-wrap:anywhere}
td.value{color:var(--ink);font-weight:600;white-space:nowrap;font-variant-numeric:tabular-nums}
tr.flash{background:var(--hover);box-shadow:inset 3px 0 var(--blue)}
.criteria li{border-top:1px solid var(--line);padding:5px 0;font-size:.92rem;overflow-wrap:anywhere}
cite{font-style:normal;color:var(--soft);font-size:.86em}
.median svg{display:block;width:100%;border:1px solid var(--line);border-radius:6px;background:var(--paper);touch-action:pan-y}
.median .faint{fill:none;stroke:var(--soft);stroke-width:.7;opacity:.45}
.median .strong{fill:none;stroke:var(--trace);stroke-width:1.7}
.median .thin{stroke:var(--thin)}.median .thick{stroke:var(--thick)}
.median .boundary{cursor:ew-resize;touch-action:none;outline:none}
.median .boundary line{stroke:var(--blue);stroke-width:1.5}
.median .boundary .grab{stroke:transparent;stroke-width:18}
.median .boundary rect{fill:var(--blue)}
.median .boundary text{fill:var(--ground);font-size:11px;font-weight:600;text-anchor:middle}
.median .boundary.moved line{stroke:var(--beat);stroke-dasharray:5 3}
.median .boundary.moved rect{fill:var(--beat)}
.median .boundary:focus-visible rect{stroke:var(--ink);stroke-width:2.5}
.median .boundary:focus-visible line{stroke-width:3}
.values{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0;font-variant-numeric:tabular-nums}
.values b{font-weight:600}
.values .changed{color:var(--beat)}
.scale{display:block;height:10px;border-radius:2px;background:var(--soft);min-width:1px}
.trouble{color:var(--bad);font-weight:600}
footer{margin-top:18px;border-top:1px solid var(--line);padding-top:8px;color:var(--soft);font-size:.86rem}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
[hidden]{display:none!important}
@container (max-width:560px){.view{padding:10px}.menu>div{position:fixed;left:10px;right:10px;top:auto;bottom:10px;width:auto;max-width:none;max-height:70vh;overflow:auto}}
@media (prefers-reduced-motion:no-preference){.statement{transition:background .12s}}
`;

/** Colours that the canvas takes from the style. Series are distinguishable without colour vision (Okabe and Ito). */
export function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["paper", "thin", "thick", "trace", "ink", "soft", "mark", "chosen", "edge", "caliper", "hatch", "beat"];
  const colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const dark = style.colorScheme === "dark";
  colours.dark = dark;
  colours.series = dark
    ? ["#eef1f5", "#56b4e9", "#e69f00", "#2fc6a0", "#f0e442", "#e58bc0"]
    : ["#15161c", "#0072b2", "#c25a00", "#007a5a", "#8a7a00", "#a8528a"];
  return colours;
}
