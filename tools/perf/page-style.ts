// SPDX-License-Identifier: Apache-2.0
// How the page looks, in light and in dark.

export const PAGE_STYLE = `
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #1d1c1a; --faint: #6b6860; --line: #dcd8d0; --box: #f1eee8;
  --light: 78%; --mark: #b4009e; --on-frame: #1d1c1a; }
@media (prefers-color-scheme: dark) { :root { --paper: #191817; --ink: #e8e5df; --faint: #9a958b; --line: #3a3732;
  --box: #25231f; --light: 34%; --mark: #ff7ae8; --on-frame: #f4f1ec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 1800px; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .2rem; overflow-wrap: anywhere; } h2 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .3rem 0; color: var(--faint); max-width: 100ch; }
.bar { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; position: sticky; top: 0; z-index: 1;
  background: var(--paper); padding: .6rem 0; }
fieldset { border: 0; padding: 0; margin: 0; display: flex; } fieldset label { display: block; }
fieldset input { position: absolute; opacity: 0; }
fieldset span { display: block; padding: .2rem .7rem; border: 1px solid var(--line); cursor: pointer; }
fieldset input:checked + span { background: var(--ink); color: var(--paper); border-color: var(--ink); }
fieldset input:focus-visible + span { outline: 2px solid var(--mark); }
input[type=search], button { font: inherit; color: inherit; background: var(--box); border: 1px solid var(--line);
  padding: .2rem .6rem; border-radius: 3px; }
#found { color: var(--mark); }
#graph { position: relative; overflow: hidden; border: 1px solid var(--line); }
#graph div { position: absolute; height: 19px; overflow: hidden; white-space: nowrap; text-indent: 3px; cursor: pointer;
  font: 12px/18px ui-monospace, monospace; color: var(--on-frame); border-right: 1px solid var(--paper);
  border-bottom: 1px solid var(--paper); background: hsl(var(--hue) 45% calc(var(--light) + var(--shade))); }
#graph div.kernel { background: hsl(var(--hue) 0% calc(var(--light) + var(--shade))); }
#graph div.above { opacity: .55; }
#graph div.hit { background: var(--mark); color: var(--paper); }
#graph div:hover, #graph div:focus-visible { outline: 2px solid var(--ink); outline-offset: -2px; }
#tip { min-height: 1.5em; font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; color: var(--ink); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--faint); font-weight: 500; } td, th { padding: .15rem .6rem .15rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap;
  width: 8.5rem; }
td code { font: 13px ui-monospace, monospace; }
`;
