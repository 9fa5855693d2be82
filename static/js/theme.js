// Sets the chosen theme before the first paint; a plain script, because modules run too late for that.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage (private mode): the system's setting decides.
  }
})();
