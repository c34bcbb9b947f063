"""The style sheet and the script of self-contained HTML reports: light and dark, wide and narrow, screen and paper."""

from __future__ import annotations

SERIES = 8
"""How many colours (CSS `--s0` to `--s7`) and marks tell series apart before they repeat."""

_LIGHT = ["#0b6e99", "#bf4d00", "#2b7a57", "#8250a8", "#b52e78", "#775536", "#4b5563", "#8a6100"]
_DARK = ["#5cb8e2", "#f3995a", "#6cc79c", "#c39be6", "#f08bbf", "#cfab86", "#aab4c0", "#dcb04a"]


def _variables(colours: list[str]) -> str:
    return " ".join(f"--s{i}: {colour};" for i, colour in enumerate(colours))


STYLE = (
    ":root { color-scheme: light dark; --ink: #1b2127; --soft: #525c67; --page: #fff; --panel: #f4f6f8;"
    " --line: #dde2e7; --strong: #8b96a2; --heat: 11 110 153; --bar: #d5e6ee; "
    + _variables(_LIGHT)
    + "}\n@media screen and (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a7b0ba; --page: #14181c;"
    " --panel: #1d2328; --line: #313941; --strong: #66717d; --heat: 92 184 226; --bar: #23404f; "
    + _variables(_DARK)
    + "} }\n"
    + """
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto;
       max-width: 64rem; padding: 1.5rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { max-width: 46rem; margin: .4rem 0; } p.lead { color: var(--soft); } .note { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; position: sticky; left: 0;
  background: var(--page); }
th { font-weight: 600; border-bottom-color: var(--strong); vertical-align: bottom; white-space: normal; }
.scroll { overflow-x: auto; }
.cells td[style] { min-width: 5.5rem; border-left: 5px solid var(--page);
  background: linear-gradient(to right, var(--bar) calc(var(--v) * 1%), var(--page) 0) no-repeat; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
.facts td:first-child { white-space: nowrap; color: var(--soft); }
figure { margin: 0; } img { width: 100%; display: block; border-radius: 3px; margin-bottom: 3px; }
figcaption { font-size: .85rem; line-height: 1.3; color: var(--soft); }
.strip { display: grid; grid-template-columns: repeat(var(--n), 1fr); gap: .5rem; margin-bottom: 1rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; margin: .5rem 0; }
.legend i { display: inline-block; width: .85em; height: .85em; margin-right: .35em; border-radius: 2px;
  vertical-align: -.08em; border: 1px solid var(--strong); }
.chart .key svg { display: inline-block; width: .9em; height: .9em; margin-right: .3em; vertical-align: -.1em;
  overflow: visible; }
.chart { position: relative; max-width: 60rem; } .chart svg { display: block; width: 100%; height: auto; }
.chart text { fill: var(--soft); font-size: 13px; paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
.chart .grid { stroke: var(--line); }
.chart .curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .chart .narrow, .chart .key { display: none; }
.chart .cross { stroke: var(--strong); stroke-dasharray: 3 3; visibility: hidden; }
.tip { position: absolute; top: 0; pointer-events: none; background: var(--page); border: 1px solid var(--strong);
  border-radius: 4px; padding: .3rem .5rem; font-size: .85rem; line-height: 1.35; white-space: nowrap;
  box-shadow: 0 2px 8px rgb(0 0 0 / .18); font-variant-numeric: tabular-nums; z-index: 1; }
.bars { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.2rem 2.4rem; }
.bars h3 { margin: 0 0 .3rem; } .bars dl { margin: 0; display: grid; grid-template-columns: auto 1fr auto;
  gap: .3rem .6rem; align-items: center; font-size: .9rem; }
.bars dt { overflow-wrap: anywhere; max-width: 9rem; } .bars dd { margin: 0; font-variant-numeric: tabular-nums; }
.bars dd div { height: .95rem; border-radius: 2px; min-width: 2px; width: calc(var(--v) * 1%); }
.matrix { font-size: .8rem; } .matrix td, .matrix th { padding: .18rem .3rem; min-width: 2.3rem; }
.matrix thead th:not(:first-child) { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  white-space: nowrap; padding: .3rem; }
.matrix td[style] { background: rgb(var(--heat) / var(--v)); }
.matrix td.hit { outline: 1.5px solid var(--strong); outline-offset: -1.5px; font-weight: 600; }
details { margin: .5rem 0; } summary { cursor: pointer; padding: .25rem 0; color: var(--soft); }
summary b { color: var(--ink); font-weight: 600; }
code { font-size: .88em; } pre { background: var(--panel); padding: .8rem; overflow-x: auto; border-radius: 4px;
  font-size: .85rem; }
@media (max-width: 38rem) { body { padding: 1rem; font-size: 15px; } h1 { font-size: 1.45rem; }
  .strip { grid-template-columns: repeat(2, 1fr); } th, td { padding: .3rem .45rem; }
  .cells td[style] { min-width: 3.8rem; } .facts td { display: block; border: 0; padding: 0; }
  .facts td:last-child { padding-bottom: .4rem; }
}
@media screen and (max-width: 46rem) { .chart { max-width: 30rem; } .chart .wide { display: none; }
  .chart .narrow { display: block; } .chart .key { display: flex; } }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } h2 { margin-top: 1.4rem; }
  h2, h3, summary, .legend { break-after: avoid; } .bars { grid-template-columns: 1fr 1fr; }
  .strip, .chart, .bars > div, tr, .matrix { break-inside: avoid; }
  .strip { gap: .25rem; } figcaption { font-size: 8pt; }
  .scroll { overflow: visible; } .tip { display: none; } td:first-child, th:first-child { position: static; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
)

SCRIPT = """
for (const chart of document.querySelectorAll('.chart[data-points]')) {
  const {x_label, points} = JSON.parse(chart.dataset.points);
  const tip = chart.appendChild(Object.assign(document.createElement('div'), {className: 'tip', hidden: true}));
  chart.querySelectorAll('title').forEach(title => title.remove());
  const hide = () => {
    tip.hidden = true;
    chart.querySelectorAll('.cross').forEach(cross => cross.style.visibility = 'hidden');
  };
  chart.addEventListener('pointerleave', hide);
  chart.addEventListener('pointermove', event => {
    const svg = event.target.closest('svg.plot');
    if (!svg) return hide();
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const xs = JSON.parse(svg.dataset.xs), at = (event.clientX - box.left) * scale;
    let best = 0;
    xs.forEach((x, i) => { if (Math.abs(x - at) < Math.abs(xs[best] - at)) best = i; });
    const cross = svg.querySelector('.cross');
    cross.setAttribute('x1', xs[best]); cross.setAttribute('x2', xs[best]); cross.style.visibility = 'visible';
    tip.replaceChildren(...[[x_label + ' ' + points[best].x, ''], ...points[best].rows].map(([text, colour]) => {
      const row = document.createElement('div');
      row.textContent = text;
      if (colour) row.style.color = colour; else row.style.fontWeight = 600;
      return row;
    }));
    tip.hidden = false;
    const left = xs[best] / scale, fits = left + 12 + tip.offsetWidth <= box.width;
    tip.style.left = Math.max(0, fits ? left + 12 : left - 12 - tip.offsetWidth) + 'px';
    tip.style.top = svg.offsetTop + 8 + 'px';
  });
}
addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(d => d.open = true));
"""
