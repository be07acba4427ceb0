// The button that copies a page's link (pages/shared/addresses.py).
const SHOWN_MS = 2000;

async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.appendChild(field);
  field.select();
  document.execCommand("copy"); // the only way where the app is not served by https
  field.remove();
}

export default function (component) {
  const button = component.parentElement.querySelector("button");
  const told = component.parentElement.querySelector("span");
  button.onclick = async () => {
    await copy(location.href);
    button.textContent = told.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy link";
      told.textContent = "";
    }, SHOWN_MS);
  };
}
