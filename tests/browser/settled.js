// Tells whoever waits, as `settled(who)`, whether a page of Streamlit stands still: the server has answered to its end whatever the
// page asked for last, and all that it sent is drawn. What the page itself shows is not enough: between a click and
// the server's first word it still says "notRunning". And `shifts`: what has moved by nobody's doing.
(() => {
  if (window.settled) return;

  // The parts of a protobuf message that count here: a number, or the bytes within, by their number in the message.
  function parts(bytes) {
    const found = new Map();
    let at = 0;
    const number = () => {
      let value = 0;
      for (let place = 1; ; place *= 128) {
        value += (bytes[at] & 127) * place;
        if (bytes[at++] < 128) return value;
      }
    };
    while (at < bytes.length) {
      const tag = number();
      const kind = tag % 8;
      const length = kind === 0 ? 0 : kind === 2 ? number() : kind === 1 ? 8 : 4;
      found.set(Math.floor(tag / 8), kind === 0 ? number() : bytes.subarray(at, at + length));
      at += length;
    }
    return found;
  }

  // ForwardMsg, BackMsg and ClientState of Streamlit's protocol (streamlit/proto).
  const [NEW_SESSION, SCRIPT_FINISHED, RERUN_SCRIPT, IS_AUTO_RERUN] = [NUMBERS];
  const EARLY_FOR_RERUN = 2;
  const known = new WeakSet();
  let asked = 0; // how often the page has asked for a run
  let begun = 0; // and which of these the run answers that is under way
  let answered = 0;

  // When all that is due has been done: what a click asks for is sent by a timer, what has come is drawn by one.
  const idle = () => new Promise((done) => requestIdleCallback(done, { timeout: 1000 }));

  function hear(event) {
    const told = parts(new Uint8Array(event.data));
    if (told.has(NEW_SESSION)) begun = asked;
    const end = told.get(SCRIPT_FINISHED);
    if (end === undefined || end === EARLY_FOR_RERUN) return;
    const one = begun;
    idle().then(idle).then(() => (answered = Math.max(answered, one)));
  }

  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (!known.has(this) && this.binaryType === "arraybuffer") {
      known.add(this);
      this.addEventListener("message", hear);
    }
    const run = data instanceof Uint8Array && parts(data).get(RERUN_SCRIPT);
    // A part that draws itself each second may be gone by the time it asks: then nothing answers.
    if (run && !parts(run).get(IS_AUTO_RERUN)) asked += 1;
    return send.call(this, data);
  };

  let turn = 0; // whoever waits, and for whom what was due when he began has been done
  let due = 0;

  window.settled = (who) => {
    if (turn !== who) {
      turn = who;
      idle().then(() => (due = who));
    }
    const app = document.querySelector("[data-testid='stApp'][data-test-script-state='notRunning']");
    if (due !== who || !app || answered < asked || app.querySelector("[data-testid='stSkeleton']")) return false;
    const charts = [...app.querySelectorAll("[data-testid='stVegaLiteChart']")];
    return charts.every((chart) => !chart.checkVisibility() || chart.querySelector("svg, canvas"));
  };

  window.shifts = [];
  const told = ({ node, previousRect: was, currentRect: is }) =>
    `${was.y}+${was.height} to ${is.y}+${is.height}: ${(node?.textContent ?? "").slice(0, 60)}`;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries())
      if (!one.hadRecentInput) window.shifts.push([one.value, one.sources.map(told)]);
  }).observe({ type: "layout-shift", buffered: true });
})();
