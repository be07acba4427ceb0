// How much room to keep until the menu has come (head.css): what the reader has given it, as Streamlit remembers.
{
  const closed = localStorage.getItem("stSidebarCollapsed-") === "true";
  const width = parseInt(localStorage.getItem("sidebarWidth"), 10) || 281;
  document.documentElement.style.setProperty("--menu-width", `${closed ? 0 : width}px`);
}
