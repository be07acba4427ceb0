// Tells the server whether the screen is a telephone's (frame.is_narrow): tables then begin with what is needed
// first. With each page, before Streamlit asks for anything.
document.cookie = `persona_lab_narrow=${matchMedia("(max-width: 640px)").matches ? 1 : 0}; SameSite=Strict`;
