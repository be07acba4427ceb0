// Tells of runs that have ended by the browser's own notices, where the user has allowed them.
const told = new Set();

export default function (component) {
  const { data, parentElement } = component;
  const button = parentElement.querySelector("button");
  if (!("Notification" in window)) return;
  const look = () => {
    button.hidden = Notification.permission !== "default";
  };
  button.onclick = () => Notification.requestPermission().then(look);
  look();
  for (const run of data.ended) {
    if (told.has(run.id)) continue;
    told.add(run.id);
    if (Notification.permission === "granted" && document.hidden) {
      new Notification("Persona Lab", { body: run.text, tag: run.id });
    }
  }
}
