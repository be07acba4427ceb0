// Draws the boxes and lines it is given (engine/results/study/picture.py) and tells which box was clicked.
// Text is only ever set as text, never as markup.
const NARROW = 560;
const INDENT = 26;

function bar(box, parent) {
  const { zero, needed, expected, gain, interval } = box.bar;
  const line = make("div", "bar", parent);
  const part = (name, from, to) => {
    const made = make("div", name, line);
    made.style.left = `${100 * from}%`;
    if (to !== undefined) made.style.width = `${100 * (to - from)}%`;
  };
  make("div", "axis", line);
  if (expected) part("hoped", expected[0], expected[1]);
  part("zero", zero);
  if (needed !== null) part("needed", needed);
  if (gain === null) return;
  const way = gain >= zero ? "up" : "down";
  if (interval) part(`spread ${way}`, interval[0], interval[1]);
  part(`dot ${way}`, gain);
}

function draw(box, grid, click) {
  const classes = ["box"];
  if (box.result) classes.push("result", box.column === 1 ? "spine" : "branch");
  if (box.next) classes.push("next");
  if (box.chosen) classes.push("chosen");
  if (["skipped", "not available"].includes(box.state)) classes.push("aside");
  const made = make("button", classes.join(" "), grid);
  made.type = "button";
  made.dataset.node = box.id;
  made.setAttribute("aria-label", box.label);
  made.setAttribute("aria-pressed", String(box.chosen));
  made.onclick = () => click(box.id);
  if (box.next) make("span", "flag", made, box.state === "running" ? "Now" : "Next step");
  const head = make("div", "head", made);
  const tone = box.tone === "next" ? "next-tone" : box.tone;
  make("span", `state ${tone}`, head, `${box.sign} ${box.word}`);
  if (box.time) make("span", "time", head, box.time);
  make("div", "title", made, box.title);
  if (box.progress !== null) {
    make("div", "", make("div", "running-line", made)).style.width = `${100 * box.progress}%`;
  }
  if (box.bar) bar(box, made);
  if (box.gain) make("div", "gain", made, box.gain);
  if (box.expected) make("div", "expected", made, box.expected);
  return made;
}

function path(svg, d, taken) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", d);
  if (taken) line.setAttribute("class", "taken");
  svg.appendChild(line);
}

function word(svg, text, x, y, taken, atStart) {
  if (!text) return;
  const made = document.createElementNS("http://www.w3.org/2000/svg", "text");
  made.setAttribute("x", x);
  made.setAttribute("y", y);
  made.setAttribute("class", `${taken ? "taken" : ""} ${atStart ? "start" : ""}`);
  made.textContent = text;
  svg.appendChild(made);
}

// One line from box to box: right, down, or around a corner.
function connect(svg, line, from, to, narrow) {
  const [x1, y1, w1, h1] = from, [x2, y2, w2, h2] = to;
  if (narrow && x2 > x1) {
    const x = x1 + 13, y = y2 + h2 / 2;
    path(svg, `M${x},${y1 + h1} V${y} H${x2}`, line.taken);
    word(svg, line.label, x + 4, y - h2 / 2 - 1, line.taken, true);
  } else if (narrow) {
    const x = x2 + 4;
    path(svg, `M${x},${y1 + h1} V${y2}`, line.taken);
    word(svg, line.label, x + 5, y2 - 8, line.taken, true);
  } else if (y1 === y2 || (x2 >= x1 + w1 && y2 < y1 + h1)) {
    const y = Math.min(y1 + h1, y2 + h2) / 2 + Math.max(y1, y2) / 2;
    path(svg, `M${x1 + w1},${y} H${x2}`, line.taken);
    word(svg, line.label, (x1 + w1 + x2) / 2, y, line.taken);
  } else if (from[4] === to[4]) {
    const x = x1 + w1 / 2;
    path(svg, `M${x},${y1 + h1} V${y2}`, line.taken);
    word(svg, line.label, x, (y1 + h1 + y2) / 2, line.taken);
  } else {
    const a = x1 + w1 / 2, b = x2 + w2 / 2, y = y2 > y1 ? y2 - 16 : y2 + h2 + 16;
    path(svg, `M${a},${y2 > y1 ? y1 + h1 : y1} V${y} H${b} V${y2 > y1 ? y2 : y2 + h2}`, line.taken);
    word(svg, line.label, a, y2 > y1 ? y1 + h1 + 10 : y1 - 10, line.taken);
  }
}

// Where the page has one column, what a click tells stands below the tree: go there.
function showDetail(root) {
  const detail = document.querySelector(".st-key-home_detail");
  if (!detail || detail.getBoundingClientRect().top < root.getBoundingClientRect().bottom) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  detail.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".map");
  const focused = root.querySelector("button:focus")?.dataset.node;
  root.replaceChildren();
  const grid = make("div", "grid", root);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "lines");
  svg.setAttribute("aria-hidden", "true");
  root.appendChild(svg);
  root.style.setProperty("--columns", Math.max(...data.boxes.map((box) => box.column)));
  const made = {}, columns = {};
  for (const box of data.boxes) columns[box.id] = box.column;
  const click = (id) => {
    setTriggerValue("chosen", id);
    showDetail(root);
  };
  for (const box of data.boxes) made[box.id] = draw(box, grid, click);
  made[focused]?.focus({ preventScroll: true });

  const place = () => {
    const narrow = root.clientWidth < NARROW;
    root.classList.toggle("narrow", narrow);
    for (const box of data.boxes) {
      const style = made[box.id].style;
      style.gridRow = narrow ? "auto" : box.row;
      style.gridColumn = narrow ? "1" : box.column;
      style.marginLeft = narrow ? `${INDENT * (box.column - 1)}px` : "0";
    }
    svg.replaceChildren();
    const spot = (id) => {
      const b = made[id];
      return [b.offsetLeft, b.offsetTop, b.offsetWidth, b.offsetHeight, columns[id]];
    };
    const lines = [...data.lines].sort((a, b) => Number(a.taken) - Number(b.taken));
    for (const line of lines) connect(svg, line, spot(line.from), spot(line.to), narrow);
  };
  const watch = new ResizeObserver(place);
  watch.observe(root);
  place();
  return () => watch.disconnect();
}
