// What a press of Back leads to (pages/shared/head.py puts it into every page). One thing that the reader does is one step back:
// what a page adds to its address by itself is none. Back also scrolls to where she was.
(() => {
  if (history.personaLab) return;
  history.personaLab = true;

  const PATIENCE_MS = 8000;

  const main = () => document.getElementById("stMain");
  const isDrawn = () => document.querySelector("[data-testid='stApp']")?.dataset.testScriptState === "notRunning";

  function scrollTo(top) {
    const until = Date.now() + PATIENCE_MS;
    const moves = ["wheel", "touchmove", "pointerdown", "keydown"];
    const end = () => {
      clearInterval(tick);
      for (const kind of moves) removeEventListener(kind, end, true);
    };
    const tick = setInterval(() => {
      const page = main();
      const fits = page && page.scrollHeight - page.clientHeight >= top;
      if (fits) page.scrollTop = top;
      if ((fits && isDrawn()) || Date.now() > until) end();
    }, 100);
    for (const kind of moves) addEventListener(kind, end, true);
  }

  let acted = false;
  let top = 0; // where she was when she did it: the page that comes next begins at its own top
  const act = () => {
    acted = true;
    top = main()?.scrollTop ?? 0;
  };
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, act, true);
  addEventListener(
    "popstate",
    (event) => {
      acted = false;
      scrollTo(event.state?.top ?? 0);
    },
    true,
  );
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    if (!acted) {
      history.replaceState(history.state, unused, url);
      return;
    }
    acted = false;
    history.replaceState({ ...history.state, top }, "");
    push(state, unused, url);
  };
})();
