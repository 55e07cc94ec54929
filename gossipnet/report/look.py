"""The page's style sheet and its script, kept in the page so that it needs nothing from anywhere.

Colours of the curves: Okabe and Ito's palette, which people with any colour vision tell apart; on a dark ground its
blue and vermilion are lighter. Paper is always light. The script only shows texts that the figures carry already.
"""

STYLE = """
:root { color-scheme: light dark; --ground: #f7f7f5; --panel: #fff; --ink: #1b1f24; --soft: #5b636c; --rule: #dcdfe3;
  --accent: #0b62a8; --warn: #fff4dd; --warn-rule: #e0a100; --heat: #0072b2; --heat-ink: #fff; --unknown: #b9bec4;
  --upper-ink: var(--ink);
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b4608f; --c4: #b87d00;
  --c5: #2f97d1; --c6: #6b6b6b; --c7: #8a7a00;
  --l0: #440154; --l1: #472c7a; --l2: #3b518b; --l3: #2c718e; --l4: #21908d; --l5: #27ad81;
  --l6: #5cc863; --l7: #8ebd1f }
@media screen and (prefers-color-scheme: dark) { :root { --ground: #121518; --panel: #1a1e22; --ink: #e7e9eb;
  --soft: #a0a8b0; --rule: #343a41; --accent: #7cc0f5; --warn: #2f2712; --warn-rule: #c79a1e; --heat: #56b4e9;
  --heat-ink: #000; --upper-ink: #000; --unknown: #5c646c;
  --c0: #56b4e9; --c1: #f0813a; --c2: #1fc297; --c3: #d98bb8; --c4: #e69f00;
  --c5: #3f8fe0; --c6: #b0b0b0; --c7: #f0e442; --l0: #7a5fc0; --l1: #5f7fd0; --l2: #4a94c4; --l3: #35a3ad;
  --l4: #35b779; --l5: #6dcd59; --l6: #b4de2c; --l7: #fde725 } }
.s0 { --c: var(--c0) } .s1 { --c: var(--c1) } .s2 { --c: var(--c2) } .s3 { --c: var(--c3) }
.s4 { --c: var(--c4) } .s5 { --c: var(--c5) } .s6 { --c: var(--c6) } .s7 { --c: var(--c7) }
.l0 { --c: var(--l0) } .l1 { --c: var(--l1) } .l2 { --c: var(--l2) } .l3 { --c: var(--l3) }
.l4 { --c: var(--l4) } .l5 { --c: var(--l5) } .l6 { --c: var(--l6) } .l7 { --c: var(--l7) }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", "DejaVu Sans", sans-serif; overflow-wrap: anywhere }
header, main, footer { max-width: 1200px; margin: 0 auto; padding: 0 20px }
header { padding-top: 28px }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px }
h2 { font-size: 19px; margin: 40px 0 12px }
h3 { font-size: 15px; margin: 0 }
p { margin: 0 }
a { color: var(--accent) }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }
pre { margin: 8px 0; padding: 10px 12px; background: var(--panel); border: 1px solid var(--rule); border-radius: 6px;
  white-space: pre-wrap }
.soft, figcaption p, footer, .colors { color: var(--soft); font-size: 13px }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 14px; font-size: 14px }
.verdict { font-size: 18px; line-height: 1.45; max-width: 62em; margin: 0 0 16px }
.notes { margin: 0 0 16px; padding: 10px 14px 10px 32px; background: var(--warn);
  border-left: 4px solid var(--warn-rule);
  border-radius: 0 6px 6px 0 }
.notes details { margin: 0 } .notes ul { padding-left: 18px }
.quiet { margin: 14px 0 0; padding-left: 20px; color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(114px, 1fr)); gap: 10px; margin: 0 0 16px }
.tiles div, figure.plot, .wide.table { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px }
.tiles div { padding: 10px 12px; display: flex; flex-direction: column-reverse; justify-content: flex-end }
.tiles dt { color: var(--soft); font-size: 12px; line-height: 1.3 }
.tiles dd { margin: 0; font-size: 19px; font-weight: 600; line-height: 1.3 }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 16px }
figure.plot { margin: 0; padding: 14px 16px 12px; position: relative; display: flex; flex-direction: column }
figure.plot > svg { width: 100%; max-width: 660px; height: auto; margin: auto auto 0; padding-top: 8px }
figure.plot > svg.graph { max-width: 400px; margin: 0 auto }
figure.full { margin-bottom: 16px }
.legend { list-style: none; margin: 8px 0 4px; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 18px;
  font-size: 13px }
.legend li { display: flex; align-items: center; gap: 6px }
.chip { width: 26px; height: 14px; flex: none; vertical-align: -2px; overflow: visible }
svg text { font: 13px system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; fill: var(--soft) }
svg .label { fill: var(--ink) }
.axes line { stroke: var(--rule) } .axes .reference { stroke: var(--soft); stroke-dasharray: 2 4 }
.mean { fill: none; stroke: var(--c); stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round }
.worst { fill: none; stroke: var(--c); stroke-width: 1.3; stroke-dasharray: 5 4; opacity: .85 }
.band { fill: var(--c); opacity: .16 }
.line path:not(.mean), .chip path:not(.mean) { fill: var(--c) }
.line path.end { fill: var(--panel); stroke: var(--c); stroke-width: 2 }
svg.chart { touch-action: pan-y; cursor: crosshair }
svg.chart:focus-visible, .wide:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.hair { stroke: var(--soft); stroke-width: 1 }
.read { position: absolute; pointer-events: none; background: var(--panel); border: 1px solid var(--soft);
  border-radius: 6px; padding: 6px 9px; font-size: 12.5px; line-height: 1.45; max-width: calc(100% - 12px);
  box-shadow: 0 2px 8px rgb(0 0 0 / .18); z-index: 1 }
.read div { display: flex; gap: 6px; align-items: baseline } .read b { font-weight: 600 }
.read i { width: 10px; height: 10px; border-radius: 2px; background: var(--c); flex: none; align-self: center }
.graph circle { stroke: var(--ink); stroke-width: .8 } .graph circle:not([fill]) { fill: var(--unknown) }
.graph text { font-size: 10px; pointer-events: none }
.graph .on-dark { fill: #fff } .graph .on-bright { fill: #111 }
.links { stroke: var(--soft); stroke-width: 1.1; fill: none; opacity: .75 }
.links.faint { stroke-width: .6; opacity: .55 }
.graph .many circle { stroke-width: .35 }
.heads { fill: var(--soft) }
.colors { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; margin: 0 0 12px }
.pair { white-space: nowrap }
.bar { display: inline-block; width: 150px; height: 12px; border-radius: 3px }
.bar.none { width: 12px; background: var(--unknown); margin: 0 5px -1px 10px }
.heat .ground { fill: var(--ground) } .cells rect { fill: var(--heat) }
.heat .cells text { font-size: 11px; fill: var(--ink) }
.heat .cells .upper { fill: var(--upper-ink) } .heat .cells .full { fill: var(--heat-ink) }
 .totals rect { fill: var(--soft) } .heat text { font-size: 12px }
.wide { overflow-x: auto } .wide > svg { display: block; margin-top: 8px; width: 100%; height: auto }
.wide.table { margin: 16px 0; width: fit-content; max-width: 100% }
table { border-collapse: collapse; font-size: 14px }
th, td { padding: 6px 14px; text-align: right; border-top: 1px solid var(--rule); vertical-align: top }
thead th { border-top: 0; font-weight: 600; vertical-align: bottom } tbody th { font-weight: 400; color: var(--soft) }
th:first-child { text-align: left } tbody th { min-width: 12.5em }
thead th:not(:first-child) { min-width: 6.5em }
th, td { overflow-wrap: normal } td { font-variant-numeric: tabular-nums } td.best { font-weight: 700 }
td.text { text-align: left }
section > h3, section > div > h3, details h3 { margin: 18px 0 8px } section > p.soft { margin-bottom: 8px }
.settings { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); gap: 16px 28px;
  margin-top: 18px }
.settings dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 14px; margin: 4px 0 0; font-size: 13.5px }
.settings dt { color: var(--soft) } .settings dd { margin: 0 }
details { margin: 12px 0 } summary { cursor: pointer }
footer { margin-top: 40px; padding-bottom: 32px }
@media (max-width: 620px) { header, main, footer { padding-left: 12px; padding-right: 12px }
  figure.plot { padding: 12px 10px 8px } .chart text { font-size: 17px } .verdict { font-size: 16px }
  th, td { padding: 6px 7px } table { font-size: 13px } tbody th { min-width: 6.2em }
  thead th { overflow-wrap: anywhere } thead th:not(:first-child) { min-width: 7.6em }
  th:first-child { position: sticky; left: 0; background: var(--panel) }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)) } }
@media print { body { background: #fff; font-size: 11pt; print-color-adjust: exact; -webkit-print-color-adjust: exact }
  nav, .read, .hair { display: none } figure, tr, .tiles div { break-inside: avoid } h2 { break-after: avoid } }
"""

SCRIPT = """
"use strict";
const NS = "http://www.w3.org/2000/svg";
const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
function readOut(svg) {
  const figure = svg.closest("figure");
  const lines = [...svg.querySelectorAll(".line[data-at]")].filter(g => g.dataset.at).map(g => ({
    g, label: g.dataset.label, at: g.dataset.at.split(" ").map(p => p.split(",").map(Number)),
    x: g.dataset.x.split("|"), y: g.dataset.y.split("|") }));
  if (!lines.length) return;
  const title = svg.querySelector("title");
  svg.setAttribute("aria-label", title.textContent);
  title.remove();
  const places = [...new Set(lines.flatMap(l => l.at.map(p => p[0])))].sort((a, b) => a - b);
  const hair = document.createElementNS(NS, "line");
  hair.setAttribute("class", "hair");
  const box = make("div", "");
  box.className = "read";
  box.setAttribute("role", "status");
  let index = -1;
  const nearest = (values, x) =>
    values.reduce((best, v, i) => Math.abs(v - x) < Math.abs(values[best] - x) ? i : best, 0);
  function hide() { index = -1; hair.remove(); box.remove(); }
  function show(i) {
    index = Math.max(0, Math.min(places.length - 1, i));
    const x = places[index];
    const held = lines.map(l => [l, nearest(l.at.map(p => p[0]), x)]).filter(([l, k]) => Math.abs(l.at[k][0] - x) < 22);
    for (const [k, v] of [["x1", x], ["x2", x], ["y1", 12], ["y2", 250]]) hair.setAttribute(k, v);
    const first = held.find(([l, k]) => l.at[k][0] === x) || held[0];
    const name = first[0].g.dataset.name;
    box.replaceChildren(make("b", (name ? name + " " : "") + first[0].x[first[1]]), ...held.map(([l, k]) => {
      const row = make("div", ""), key = make("i", "");
      row.className = l.g.getAttribute("class").split(" ")[1];
      row.append(key, make("span", l.label + ": " + l.y[k]));
      return row;
    }));
    svg.append(hair);
    figure.append(box);
    const drawn = svg.getBoundingClientRect(), frame = figure.getBoundingClientRect();
    const middle = drawn.left - frame.left + x * drawn.width / 520 - box.offsetWidth / 2;
    box.style.left = Math.max(4, Math.min(middle, frame.width - box.offsetWidth - 6)) + "px";
    box.style.top = drawn.top - frame.top + 258 * drawn.height / 300 + "px";  // below the curves, never over them
  }
  svg.addEventListener("pointermove", e => {
    const drawn = svg.getBoundingClientRect();
    show(nearest(places, (e.clientX - drawn.left) * 520 / drawn.width));
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", e => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (e.key === "Escape") hide();
    if (!step) return;
    e.preventDefault();
    show(index < 0 ? (step > 0 ? 0 : places.length - 1) : index + step);
  });
}
document.querySelectorAll("svg.chart").forEach(readOut);
"""
