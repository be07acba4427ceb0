// Draws the examples it is given (pages/shared/replies.py) and tells which one was opened, and what was marked.
// Text is only ever set as text, never as markup. Opening an example is instant; the address follows.
const WORDS = { right: "right", other: "another value", missing: "missing", extra: "not asked for" };

function pieces(parent, list) {
  for (const piece of list) {
    const made = make("span", piece.kind ? `piece ${piece.kind}` : "", parent, piece.text);
    if (!piece.kind) continue;
    made.title = WORDS[piece.kind];
    make("sup", "", made, piece.sign).setAttribute("aria-label", WORDS[piece.kind]);
  }
  if (!list.length) make("span", "quiet", parent, "an empty reply");
}

function findings(parent, list) {
  if (!list.length) return;
  const made = make("ul", "findings", parent);
  made.setAttribute("aria-label", "What it does, against the right reply");
  for (const one of list) {
    const item = make("li", one.kind, made, `${one.sign} ${one.words}`);
    item.title = WORDS[one.kind] ?? "";
    item.setAttribute("aria-label", `${WORDS[one.kind] ?? ""}: ${one.words}`);
  }
}

function context(parent, example) {
  if (example.before.length) {
    const more = make("details", "", parent);
    const n = example.before.length;
    make("summary", "", more, `${n} ${n === 1 ? "message" : "messages"} before`);
    const said = make("div", "said", more);
    for (const message of example.before) {
      make("div", "who", said, message.who);
      make("div", "text", said, message.text);
    }
  }
  const said = make("div", "said", parent);
  make("div", "who", said, "User");
  make("div", "text last", said, example.asked);
}

function rightReply(parent, example) {
  const card = make("div", "card right-reply", parent);
  make("div", "names", make("div", "head", card), "Right reply");
  make("div", "text", card, example.reference);
  if (!example.acts.length) return;
  const list = make("ul", "findings", card);
  list.setAttribute("aria-label", "What it does");
  for (const words of example.acts) make("li", "held", list, words);
}

const SIDES = { both: "", added: "not in the right reply", lacking: "only in the right reply" };

function words(parent, one) {
  if (!one.words.length) return;
  const looked = one.variants.some((variant) => variant.looked_at);
  const more = make("details", "", parent);
  more.open = looked;
  make("summary", "", more, "Word by word against the right reply");
  const text = make("div", "text words", more);
  for (const stretch of one.words) {
    const tag = { added: "ins", lacking: "del" }[stretch.side] ?? "span";
    make(tag, "", text, stretch.text).title = SIDES[stretch.side];
    text.append(" ");
  }
}

function judging(parent, example, one, marks, tell) {
  if (!Object.keys(marks).length) {
    const held = [one.mark, one.note].filter(Boolean).join(": ");
    if (held) make("div", "small", parent, `Marked ${held}`);
    return;
  }
  const row = make("div", "judging", parent);
  const buttons = {};
  const draw = () => {
    for (const [name, button] of Object.entries(buttons)) {
      button.textContent = one.mark === name ? `✓ ${marks[name]}` : marks[name];
      button.setAttribute("aria-pressed", String(one.mark === name));
    }
  };
  const send = (mark, note) => {
    Object.assign(one, { mark, note });
    tell({ example: example.id, reply: one.text, mark, note });
    draw();
  };
  make("span", "small quiet", row, "You find it");
  for (const name of Object.keys(marks)) {
    buttons[name] = make("button", "mark", row);
    buttons[name].type = "button";
    buttons[name].onclick = () => send(one.mark === name ? "" : name, one.note);
  }
  draw();
  const note = make("textarea", "note", row);
  note.rows = 1;
  note.placeholder = "Note";
  note.setAttribute("aria-label", `Note on the reply of ${one.variants[0].name}`);
  note.maxLength = 2000;
  note.value = one.note;
  note.onblur = () => note.value.trim() === one.note || send(one.mark, note.value.trim());
  note.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    note.onblur();
  };
}

function reply(parent, one, example, marks, tell) {
  const looked = one.variants.some((variant) => variant.looked_at);
  const card = make("div", looked ? "card looked-at" : "card", parent);
  const head = make("div", "head", card);
  const names = make("div", "names", head);
  for (const variant of one.variants) {
    const name = make("span", variant.looked_at ? "looked" : "", names, variant.name);
    if (variant.role) make("span", "role", name, ` ${variant.role}`);
  }
  const score = make("div", "score", head, one.score);
  if (one.difference) make("span", one.tone, score, ` ${one.difference}`);
  pieces(make("div", "text", card), one.pieces);
  findings(card, one.findings);
  if (one.kind) make("div", "small quiet", card, one.kind);
  words(card, one);
  judging(card, example, one, marks, tell);
}

function memories(parent, list) {
  if (!list.length) return;
  const more = make("details", "", parent);
  make("summary", "", more, `What was retrieved: ${list.length} earlier ${list.length === 1 ? "interaction" : "interactions"}, the nearest first`);
  for (const one of list) {
    const made = make("div", "memory", more);
    make("div", "likeness", made, one.likeness).title = "Likeness of the requests, cosine";
    make("div", "text", made, one.request);
    make("div", "text quiet", made, one.reply);
    make("div", "small quiet", made, `${one.place}; shown to ${one.variants}`);
  }
}

function key(parent) {
  const made = make("div", "key", parent);
  for (const text of ["✓ right", "≠ another value", "− missing", "+ not asked for"]) make("span", "", made, text);
}

function pane(parent, example, marks, tell) {
  parent.replaceChildren();
  const head = make("div", "", parent);
  make("h4", "", head, [example.whose, example.place].filter(Boolean).join(", "));
  if (example.situation) make("p", "where small quiet", head, example.situation);
  context(parent, example);
  rightReply(parent, example);
  key(parent);
  for (const one of example.replies) reply(parent, one, example, marks, tell);
  memories(parent, example.memories);
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".replies");
  const focused = root.querySelector(".list button:focus")?.dataset.example;
  const judged = () => [...root.querySelectorAll(".judging button, .judging textarea")];
  const held = root.querySelector(".judging :focus");
  const [at, typed, shown] = [judged().indexOf(held), held?.value, root.querySelector(".pane")?.ariaLabel];
  const opened = [...root.querySelectorAll("details[open] summary")].map((one) => one.textContent);
  if (held) held.onblur = null; // it goes on where it was
  root.replaceChildren();
  const columns = make("div", data.alone ? "" : "columns", root);
  const list = make("ol", "list", columns);
  list.setAttribute("aria-label", "Examples");
  const view = make("div", "pane", columns);
  view.setAttribute("role", "region");
  view.setAttribute("aria-live", "polite");
  const buttons = {};

  const open = (id, tell) => {
    const example = data.examples.find((one) => one.id === id) ?? data.examples[0];
    for (const [name, button] of Object.entries(buttons)) {
      button.setAttribute("aria-current", String(name === example.id));
    }
    view.setAttribute("aria-label", example.place);
    pane(view, example, data.marks, (mark) => setTriggerValue("mark", mark));
    if (tell) setTriggerValue("example", example.id);
  };

  for (const example of data.examples) {
    const button = make("button", "", make("li", "", list));
    button.type = "button";
    button.dataset.example = example.id;
    make("span", "place", button, `${example.number}. ${example.whose || example.place}`);
    make("span", `difference ${example.tone}`, button, example.difference);
    make("span", "asked", button, example.asked);
    button.onclick = () => open(example.id, true);
    buttons[example.id] = button;
  }
  list.onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const ids = data.examples.map((one) => one.id);
    const at = ids.indexOf(event.target.dataset.example);
    const next = buttons[ids[Math.min(ids.length - 1, Math.max(0, at + step))]];
    next.focus();
    next.click();
  };
  if (data.alone) list.remove();
  open(data.open, false);
  for (const summary of root.querySelectorAll("summary")) {
    if (opened.includes(summary.textContent)) summary.parentElement.open = true;
  }
  buttons[focused]?.focus({ preventScroll: true });
  const again = shown === view.ariaLabel ? judged()[at] : undefined;
  if (typed) again?.setRangeText(typed, 0, again.value.length, "end");
  again?.focus({ preventScroll: true });
}
