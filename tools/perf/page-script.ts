// SPDX-License-Identifier: Apache-2.0
// What the page does: draws one level of boxes a row, zooms, searches. Plain JavaScript, as text; `profile` is the data
// that flame-graph.ts writes before it. A node is [name, file, instructions, microseconds, children].

export const PAGE_SCRIPT = `
"use strict";
const ROW = 20, MIN_WIDTH = 0.4;
const at = (id) => document.getElementById(id);
const graph = at("graph"), tip = at("tip"), search = at("search");
let view = "calls", weight = profile.hasTime ? 3 : 2, focus = [], pattern = "";

const name = (node) => profile.names[node[0]], file = (node) => profile.names[node[1]];
const valueOf = (node) => node[weight];
function shown(value) {
  if (weight === 2) return value.toLocaleString("en") + " instructions";
  return value < 10000 ? value + " us" : (value / 1000).toLocaleString("en", { maximumFractionDigits: 1 }) + " ms";
}
function share(value) { return (100 * value / Math.max(1, valueOf(profile.trees[view]))).toFixed(2) + "%"; }
function hue(text) {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + letter.codePointAt(0)) % 3600;
  return hash / 10;
}
const matches = (node) => pattern !== "" && (name(node) + " " + file(node)).toLowerCase().includes(pattern);

function box(node, path, level, left, width, isAbove) {
  const element = document.createElement("div");
  element.style.cssText = "left:" + left + "px;width:" + width + "px;top:" + level * ROW + "px";
  element.style.setProperty("--hue", hue(file(node) || name(node)));
  element.style.setProperty("--shade", Math.round(hue(name(node)) % 13 - 6) + "%");
  if (["[kernel]", "[compiler]"].includes(file(node))) element.classList.add("kernel");
  if (isAbove) element.classList.add("above");
  if (matches(node)) element.classList.add("hit");
  if (width > 25) element.textContent = name(node);
  const text = name(node) + (file(node) ? "  " + file(node) : "") + "  " + shown(valueOf(node)) + "  " + share(valueOf(node));
  element.tabIndex = 0;
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", text);
  element.onmouseenter = element.onfocus = () => { tip.textContent = text; };
  element.onclick = () => { focus = path; draw(); };
  element.onkeydown = (event) => { if (event.key === "Enter") element.onclick(); };
  graph.append(element);
}

function draw() {
  graph.replaceChildren();
  const full = graph.clientWidth;
  let node = profile.trees[view], level = 0, path = [], depth = 0;
  for (const index of focus) {
    box(node, path, level++, 0, full, true);
    node = node[4][index];
    path = [...path, index];
  }
  const rows = [[node, path, level, 0, full]];
  while (rows.length > 0) {
    const [top, way, row, start, width] = rows.pop();
    box(top, way, row, start, width, false);
    depth = Math.max(depth, row + 1);
    let left = start;
    top[4].forEach((child, index) => {
      const part = width * valueOf(child) / Math.max(1, valueOf(top));
      if (part >= MIN_WIDTH) rows.push([child, [...way, index], row + 1, left, part]);
      left += part;
    });
  }
  graph.style.height = depth * ROW + "px";
  at("reset").hidden = focus.length === 0;
  at("found").textContent = pattern === "" ? "" : share(hits(profile.trees[view])) + " in or beneath a match";
}
/** What is beneath a match counts once. */
function hits(node) { return matches(node) ? valueOf(node) : node[4].reduce((sum, child) => sum + hits(child), 0); }

function choose(group, act) {
  for (const input of document.querySelectorAll("input[name=" + group + "]")) {
    input.onchange = () => { act(input.value); focus = []; draw(); };
  }
}
choose("view", (value) => { view = value; });
choose("weight", (value) => { weight = Number(value); });
search.oninput = () => { pattern = search.value.trim().toLowerCase(); draw(); };
at("reset").onclick = () => { focus = []; draw(); };
addEventListener("keydown", (event) => {
  if (event.key === "Escape") { focus = []; pattern = search.value = ""; draw(); }
  if (event.key === "/" && event.target !== search) { event.preventDefault(); search.focus(); }
});
addEventListener("resize", draw);
draw();
`;
