// Before anything is drawn, so that a dark page does not flash white: the one script that is not a module.
{
  let theme = "";
  try { theme = JSON.parse(localStorage.getItem("vl2") ?? "{}").theme ?? ""; } catch { /* storage is off or damaged */ }
  if (theme) document.documentElement.dataset.theme = theme;
}
