// What is wrong with the page's geometry, as a list of sentences. The body of a function for the browser.
const wrong = [];
const box = (node) => node.getBoundingClientRect();
const seen = (node) => node.checkVisibility() && box(node).width > 0;
const name = (node) => `${node.tagName}${node.id && '#' + node.id}.${node.className} "${node.textContent.slice(0, 40)}"`;
const all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(seen);

// nothing is cut off: whatever hides what overflows it has nothing to hide, and words stay inside their card
for (const node of all('body *')) {
  if (node.closest('.visually-hidden, svg, #events ol, .scroll')) continue;
  if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX !== 'visible') wrong.push(`cut off: ${name(node)}`);
}
for (const card of all('.card, .strip li')) {
  for (const leaf of all('*', card)) {
    if (leaf.childElementCount || !leaf.textContent.trim() || leaf.closest('.visually-hidden, svg, #events ol, .limit-label')) continue;
    const [inner, outer] = [box(leaf), box(card)];
    if (inner.right > outer.right + 1 || inner.left < outer.left - 1 || inner.bottom > outer.bottom + 1) wrong.push(`outside: ${name(leaf)}`);
  }
}
// figures do not overlap
for (const list of all('dl')) {
  const figures = all('div', list).map((node) => ({ node, rects: [...node.children].map((child) => {
    const range = document.createRange();
    range.selectNodeContents(child);
    return range.getBoundingClientRect();
  }) }));
  figures.forEach((one, at) => figures.slice(at + 1).forEach((other) => {
    for (const a of one.rects) for (const b of other.rects) {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) wrong.push(`overlap: ${name(one.node)} ${name(other.node)}`);
    }
  }));
}
// every row is filled, and its boxes are equally tall
for (const parent of all('#sticks, .strip')) {
  const rows = new Map();
  for (const child of [...parent.children]) rows.set(Math.round(box(child).top), [...(rows.get(Math.round(box(child).top)) ?? []), box(child)]);
  for (const [top, row] of rows) {
    if (Math.abs(row.at(-1).right - box(parent).right) > 2 || Math.abs(row[0].left - box(parent).left) > 2) wrong.push(`a hole in ${name(parent)} at ${top}`);
    if (row.some((each) => Math.abs(each.height - row[0].height) > 1)) wrong.push(`unequal heights in ${name(parent)}`);
  }
  const lengths = [...rows.values()].map((row) => row.length);
  if (Math.max(...lengths) - Math.min(...lengths) > 1) wrong.push(`rows of ${lengths} in ${parent.id}`);
}
// cameras and cards beside them end at the same height, and what is below takes the whole width
const [cameras, side, main] = ['#cameras', '.side', 'main'].map((each) => box(document.querySelector(each)));
if (side.left > cameras.right) {
  if (Math.abs(cameras.bottom - side.bottom) > 1) wrong.push(`cameras end at ${cameras.bottom}, cards at ${side.bottom}`);
  if (Math.abs(side.right - main.right) > 1) wrong.push('a hole beside the cards');
  const last = ['#cameras', '.side'].map((each) => all(`${each} > *`).at(-1)).map(box);
  if (last.some((each) => Math.abs(each.bottom - side.bottom) > 1)) wrong.push('a hole below cameras or cards');
}
for (const wide of all('.wide')) if (Math.abs(box(wide).width - main.width) > 1) wrong.push(`not the whole width: ${name(wide)}`);
// no card has an empty part at its end
for (const card of all('#clusters, #counters, #faults, .stick, #machine')) {
  const inside = all('*', card).filter((node) => !node.matches('.visually-hidden, .answer')).map((node) => box(node).bottom);
  if (box(card).bottom - Math.max(...inside) > 28) wrong.push(`empty: ${name(card)}`);
}
// the picture is not a stamp on a black wall
const [image, screen] = [box(document.querySelector('.screen img')), box(document.querySelector('.screen'))];
if (image.width * image.height < 0.6 * screen.width * screen.height) wrong.push('the picture is small');
if (document.documentElement.scrollWidth > innerWidth) wrong.push('scrolls sideways');
return wrong;
