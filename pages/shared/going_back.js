// What a press of Back leads to (pages/shared/head.py puts it into every page). One thing that the reader does is one step back:
// what a page adds to its address by itself is none. Back also scrolls to where she was.
(() => {
  if (history.personaLab) return;
  history.personaLab = true;

  const PATIENCE_MS = 30000;
  const TICK_MS = 100;
  const LATEST_START_MS = 2000; // until then the page that was left may still stand there, drawn to its end
  const STILL_TICKS = 5; // so long nothing is drawn any more: what stood for charts and links has gone, too

  const main = () => document.getElementById("stMain");
  const isDrawn = () =>
    document.querySelector("[data-testid='stApp']")?.dataset.testScriptState === "notRunning" &&
    !document.querySelector("[data-testid='stSkeleton']");

  // Hold the page where she was while it is drawn, until it stands still or she moves herself.
  function scrollTo(top) {
    const from = Date.now();
    const moves = ["wheel", "touchmove", "pointerdown", "keydown"];
    let began = false;
    let still = 0;
    let held = { at: 0, height: 0 };
    const end = () => {
      clearInterval(tick);
      for (const kind of moves) removeEventListener(kind, end, true);
    };
    const tick = setInterval(() => {
      const page = main();
      const passed = Date.now() - from;
      const fits = page && page.scrollHeight - page.clientHeight >= top;
      // Not by drawing: a search, a screen reader, or the focus has scrolled.
      if (fits && held.at === top && page.scrollHeight === held.height && ![0, top].includes(page.scrollTop)) return end();
      if (fits && page.scrollTop !== top) page.scrollTop = top;
      held = { at: page?.scrollTop, height: page?.scrollHeight };
      began ||= !isDrawn() || passed > LATEST_START_MS;
      still = began && fits && isDrawn() ? still + 1 : 0;
      if (still > STILL_TICKS || passed > PATIENCE_MS) end();
    }, TICK_MS);
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
