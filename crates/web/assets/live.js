// Swaps in the overview as the server sends it. The page is whole without this.
"use strict";
(() => {
  const main = document.getElementById("main");
  const summary = document.getElementById("summary");
  const live = document.getElementById("live");
  const state = (text) => { live.textContent = text; live.dataset.state = text; live.hidden = false; };
  // What names an element across two renderings: its address, or its place among the focusable ones.
  const focusables = () => [...main.querySelectorAll("a[href], [tabindex]")];
  const source = new EventSource("/events");
  source.onopen = () => state("live");
  source.onerror = () => state("reconnecting");
  source.addEventListener("fault", (event) => { summary.textContent = event.data; });
  source.addEventListener("overview", (event) => {
    const piece = JSON.parse(event.data);
    const active = document.activeElement;
    const inside = active !== main && main.contains(active);
    const href = inside ? active.getAttribute("href") : null;
    const index = inside ? focusables().indexOf(active) : -1;
    const scrolled = [...main.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    main.innerHTML = piece.html;
    main.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    if (inside) {
      const all = focusables();
      const again = (href && all.find((element) => element.getAttribute("href") === href)) || all[index] || main;
      again.focus({ preventScroll: true });
    }
    // Set only when it differs, so that a screen reader speaks only of changes.
    if (summary.textContent !== piece.summary) summary.textContent = piece.summary;
  });
})();
