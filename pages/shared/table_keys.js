// A table that comes with a row selected is walked by key, too (pages/shared/head.py puts this into every
// page). Its grid takes arrow keys once it has a current cell, and gives itself one only where nothing is
// selected: here it starts in the row that is selected, or in its first one where that is out of sight. And
// Enter opens a row, as Shift+Space does, where rows open something; Space still shows a cell whole.
(() => {
  const DRAWN_MS = 250; // the rows that a screen reader reads, one element a cell, are drawn anew this often
  addEventListener(
    "focusin",
    ({ target }) => {
      if (!target.matches?.("canvas[data-testid='data-grid-canvas']:focus-visible")) return;
      const start = () => {
        if (document.activeElement !== target) return; // the grid has gone to its cell, or she elsewhere
        const cell = ["tr[aria-selected='true'] td", "td"].map((one) => target.querySelector(one)).find(Boolean);
        cell?.focus({ preventScroll: true });
        setTimeout(start, DRAWN_MS); // until it is there: cells are drawn after their table
      };
      setTimeout(start, DRAWN_MS);
    },
    true,
  );
  addEventListener(
    "keydown",
    (event) => {
      const cell = event.target;
      if (event.key !== "Enter" || !cell.matches?.("[data-testid='data-grid-canvas'] td")) return;
      const column = cell.id.split("-")[2];
      if (column !== cell.getAttribute("aria-colindex")) return; // a column of boxes comes first where rows open
      event.preventDefault();
      event.stopImmediatePropagation();
      cell.dispatchEvent(new KeyboardEvent("keydown", { key: " ", shiftKey: true, bubbles: true }));
    },
    true,
  );
})();
