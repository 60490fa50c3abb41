// DOM helpers. Strings are inserted as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children (nodes or strings). */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Set an element's text, touching the DOM only when it changes. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Keep one child of `parent` per item, in the order of `items`. `key` names an item; `create` makes its child, `update` fills it. */
export function each(parent, items, key, create, update) {
  const known = (parent.known ??= new Map());
  const left = new Set(known.keys());
  items.forEach((item, at) => {
    const name = key(item);
    left.delete(name);
    let child = known.get(name);
    if (!child) known.set(name, (child = create(item)));
    if (parent.children[at] !== child.node) parent.insertBefore(child.node, parent.children[at] ?? null);
    update(child, item);
  });
  for (const name of left) {
    known.get(name).node.remove();
    known.get(name).end?.();
    known.delete(name);
  }
}

/** A term and its value in a <dl>. */
export function figure(term, title = "") {
  const value = make("dd");
  const node = make("div", title ? { title } : {}, make("dt", {}, term), value);
  return { node, value };
}

export const UNKNOWN = "–";

export function number(value, digits = 0, unit = "") {
  if (value === null || value === undefined) return UNKNOWN;
  const text = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit ? `${text}\u202f${unit}` : text;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

/** Two percentiles in milliseconds. */
export function pair({ p50, p99 }) {
  return p50 === null ? UNKNOWN : `${number(p50)} / ${number(p99, 0, "ms")}`;
}

/** Arrange the children of `parent` in rows as equal as they can be: none narrower than `least` pixels, at most `most` in a row. The
 * row of each child has as many as its --columns says. Returns the width of the narrowest. */
export function arrange(parent, least, most = Infinity) {
  const gap = parseFloat(getComputedStyle(parent).columnGap) || 0;
  const width = parent.clientWidth;
  const rows = rowsOf(parent.children.length, Math.max(1, Math.min(most, Math.floor((width + gap) / (least + gap)))));
  let at = 0;
  for (const row of rows) {
    for (let left = row; left > 0; left--) {
      const { style } = parent.children[at++];
      if (style.getPropertyValue("--columns") !== String(row)) style.setProperty("--columns", row);
    }
  }
  const longest = Math.max(1, ...rows);
  return (width - gap * (longest - 1)) / longest;
}

/** The lengths of the rows of `count` boxes, at most `fit` in each. */
function rowsOf(count, fit) {
  if (count <= fit) return [count];
  for (let each = fit; each > fit / 2; each--) if (count % each === 0) return Array(count / each).fill(each);
  const rows = Math.ceil(count / fit);
  return Array.from({ length: rows }, (_, at) => Math.floor(count / rows) + (at < count % rows ? 1 : 0));
}
