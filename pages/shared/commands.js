// A command line wraps between its words only: browsers break after a hyphen, too, and would tear `--workspace`
// (pages/shared/head.py puts this into every page, head.css says how a word stands). Copying takes it as it is.
(() => {
  const WORD = "command-word";
  const isCommand = (text) => /^(\S*python3? |PERSONA_LAB_)/.test(text);

  // React writes a text anew into the element that holds it, whatever stands there: only such are taken apart.
  function divide(holder) {
    if (holder.children.length || !isCommand(holder.textContent)) return;
    const parts = holder.textContent.split(/(\s+)/);
    holder.replaceChildren(
      ...parts.map((part) => {
        if (!part.trim()) return document.createTextNode(part);
        const word = document.createElement("span");
        word.className = WORD;
        word.textContent = part;
        return word;
      }),
    );
  }

  const divideAll = () => {
    for (const code of document.querySelectorAll("[data-testid='stCode'] code")) {
      for (const holder of [code, ...code.querySelectorAll(`span:not(.${WORD})`)]) divide(holder);
    }
  };
  new MutationObserver(divideAll).observe(document, { childList: true, characterData: true, subtree: true });
})();
