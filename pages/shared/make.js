// Makes an element in its parent: what the drawn parts of pages share. It stands before each one's own code.
function make(tag, classes, parent, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}
