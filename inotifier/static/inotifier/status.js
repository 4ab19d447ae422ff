// Keeps the status page fresh. Without it, the page is as it was when it was loaded.
(() => {
  "use strict";
  const EVERY = 2000; // milliseconds
  const page = document.getElementById("page");
  const form = document.getElementById("filter");
  const unreachable = document.getElementById("unreachable");
  let timer;
  let latest = 0;

  function query() {
    const given = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...given]) if (!value) given.delete(name);
    return given.toString();
  }

  function isInUse(part) {
    const selection = document.getSelection();
    const isSelecting = !selection.isCollapsed && part.contains(selection.anchorNode);
    return isSelecting || part.matches("select:focus");
  }

  function replaceChoices(select, fresh) {
    if (fresh.options.length < 2) return; // no daemon answers for now
    const chosen = select.value;
    select.innerHTML = fresh.innerHTML;
    select.value = chosen;
    if (select.selectedIndex < 0) select.value = "";
  }

  function replace(part, fresh) {
    if (!fresh || isInUse(part) || part.innerHTML === fresh.innerHTML) return;
    if (part.matches("select")) {
      replaceChoices(part, fresh);
      return;
    }
    const open = new Set([...part.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const focused = part.contains(document.activeElement) && document.activeElement.dataset.focus;
    const scrolled = part.querySelector(".scrolls")?.scrollTop;
    part.replaceChildren(...fresh.childNodes);
    for (const one of part.querySelectorAll("details")) one.open = open.has(one.dataset.key);
    if (focused) part.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    if (scrolled) part.querySelector(".scrolls")?.scrollTo(0, scrolled);
  }

  async function refresh() {
    clearTimeout(timer);
    const number = ++latest;
    let text = null;
    try {
      const answer = await fetch(`${page.dataset.url}?${query()}`, {
        redirect: "error", // to the log-in
        signal: AbortSignal.timeout(10000),
      });
      if (answer.ok) text = await answer.text();
    } catch {
      // The site is away for a moment, or the session has ended.
    }
    if (number !== latest) return; // a newer one is on its way
    unreachable.hidden = text !== null;
    if (text !== null) {
      const fresh = new DOMParser().parseFromString(text, "text/html");
      for (const part of page.querySelectorAll("[data-live]")) {
        replace(part, fresh.getElementById(part.id));
      }
    }
    timer = setTimeout(refresh, EVERY);
  }

  function filter() {
    const wanted = query();
    history.replaceState(null, "", wanted ? `?${wanted}` : location.pathname);
    refresh();
  }

  form.classList.add("at-once");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
  page.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-entry]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    form.elements.entry.value = link.dataset.entry;
    filter();
    form.scrollIntoView({ behavior: "smooth", block: "nearest" });
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else refresh();
  });
  // What was done is told once.
  if (new URLSearchParams(location.search).has("done")) history.replaceState(null, "", location.pathname);
  timer = setTimeout(refresh, EVERY);
})();
