// Build the page: read the address, create the controls, draw the charts.

function followAnchors() {
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const target = document.getElementById(link.getAttribute("href").slice(1));
      change({ at: target.id });
      goTo(target);
    });
  }
}

function goTo(target) {
  target.scrollIntoView();
  target.setAttribute("tabindex", "-1");
  target.focus({ preventScroll: true });
}

// An address can also be a plain anchor, as in links to a section.
function plainAnchor() {
  const id = decodeURIComponent(location.hash.slice(1));
  return /^[a-z-]+$/.test(id) && document.getElementById(id) ? id : "";
}

function start() {
  const anchor = plainAnchor();
  readAddress();
  state.at ||= anchor;
  document.documentElement.classList.add("scripted");
  onChange(applyFilters);
  applyFilters();
  linkCards();
  applyFilters();
  buildFilters();
  makeSortable();
  buildCurveControls();
  buildTradeOffs();
  buildDecision();
  buildDownloads();
  buildLink();
  followAnchors();
  window.addEventListener("hashchange", () => location.reload());
  const target = state.at && document.getElementById(state.at);
  startCharts().then(() => {
    if (target) goTo(target);
    document.documentElement.dataset.ready = "";
  });
}

start();
