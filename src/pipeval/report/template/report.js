// The report works without this file. With it: tables sort, contents follow the reader, details open when linked to or printed.
"use strict";
(() => {
  const words = document.body.dataset;
  document.documentElement.classList.add("live");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- Sorting: low to high, high to low, as printed ---
  const collator = new Intl.Collator(document.documentElement.lang, { numeric: true, sensitivity: "base" });
  const marks = words.decimal === "," ? /[.\s\u00a0\u202f']/g : /[,\s\u00a0\u202f']/g;
  const NUMBER = /^([<>≤≥≈]?)\s*(?:[A-Z]{0,3}\$|[A-Z]{3}\s|€)?\s*([+\-−]?)\s*(?:US\$)?\s*(\d[\d.,'\s\u00a0\u202f]*)/;
  const TONES = ["good", "fair", "bad", "open"];
  const MONTHS = new Map([...Array(12).keys()].map((month) => [
    plain(new Intl.DateTimeFormat(document.documentElement.lang, { month: "long" }).format(new Date(2001, month, 15))).slice(0, 3), month,
  ]));

  function plain(text) { return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase(); }

  function number(text) {
    const found = NUMBER.exec(text);
    if (!found) return NaN;
    const value = Number(found[3].replace(marks, "").replace(",", ".").replace(/\.$/, ""));
    const signed = found[2] === "-" || found[2] === "−" ? -value : value;
    // "<0.001" comes before 0.001 and ">0.999" after 0.999.
    return signed + ({ "<": -1, ">": 1 }[found[1]] || 0) * 1e-9;
  }

  function day(text) {
    const month = (plain(text).match(/[a-z]{3,}/g) || []).map((word) => MONTHS.get(word.slice(0, 3))).find((found) => found !== undefined);
    const year = /\b\d{4}\b/.exec(text);
    if (!year || month === undefined || text.length > 30) return NaN;
    const date = /\b\d{1,2}\b/.exec(text);
    return Date.UTC(Number(year[0]), month, date ? Number(date[0]) : 1);
  }

  function tone(cell) {
    const light = cell.querySelector(".light");
    return light ? TONES.findIndex((name) => light.classList.contains(name)) : NaN;
  }

  // What a column is sorted by: the first reading that fits every cell that says something.
  function keys(rows, column) {
    const cells = rows.map((row) => row.cells[column]);
    const texts = cells.map((cell) => (cell ? cell.textContent.trim() : ""));
    const missing = texts.map((text) => /^[—–-]?$/.test(text));
    const right = cells.some((cell) => cell && cell.style.textAlign === "right");
    const whole = (text) => (right || /^[^A-Za-z]*(%|pp|USD)?$/.test(text) ? number(text) : NaN);
    const readings = [cells.map(tone), texts.map(day), texts.map(whole)];
    const fits = readings.find((values) => values.every((value, i) => missing[i] || !Number.isNaN(value)));
    return (fits || texts).map((value, i) => (missing[i] ? null : value));
  }

  function compare(a, b) { return typeof a === "string" ? collator.compare(a, b) : a - b; }

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = table.tHead && table.tHead.rows.length === 1 ? [...table.tHead.rows[0].cells] : [];
    if (!body || body.rows.length < 3) return;
    const printed = [...body.rows];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.title = words.sort;
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "restored" }[head.getAttribute("aria-sort")] || "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        table.classList.toggle("sorted", next !== "restored");
        let order = printed.map((row, i) => i);
        if (next !== "restored") {
          head.setAttribute("aria-sort", next);
          const by = keys(printed, column);
          const sign = next === "ascending" ? 1 : -1;
          order.sort((i, j) => (by[i] === null || by[j] === null ? (by[i] === null) - (by[j] === null) : sign * compare(by[i], by[j])));
        }
        body.append(...order.map((i) => printed[i]));
        const status = document.querySelector("[role=status]");
        status.textContent = next === "restored" ? words.restored : `${words[next]} ${button.textContent}`;
      });
    });
  }
  all("table.data").forEach(sortable);

  // --- A region that scrolls is reached by the keyboard; one that does not is no stop ---
  const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const stop = { tabindex: "0", role: "region", "aria-labelledby": target.dataset.name };
    const scrolls = target.scrollWidth > target.clientWidth + 1;
    Object.entries(stop).forEach(([key, value]) => (scrolls ? target.setAttribute(key, value) : target.removeAttribute(key)));
  }));
  all(".scroll").forEach((region) => watch.observe(region));

  // --- Folded details: all at once, when linked to, when printed ---
  const folds = all("details.fold");
  const button = document.querySelector(".open-all");
  const [open, close] = [button.textContent, button.dataset.close];
  const name = () => { button.textContent = folds.every((fold) => fold.open) ? close : open; };
  button.hidden = folds.length === 0;
  button.addEventListener("click", () => {
    const opened = !folds.every((fold) => fold.open);
    folds.forEach((fold) => { fold.open = opened; });
    name();
  });
  folds.forEach((fold) => fold.addEventListener("toggle", name));

  function reveal() {
    const target = document.getElementById(location.hash.slice(1));
    const fold = target && target.closest("details.fold");
    if (!fold) return;
    fold.open = true;
    fold.scrollIntoView();
  }
  window.addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    // The address does not change when the same link is followed again.
    if (link && link.hash === location.hash) reveal();
  });
  reveal();

  let shut = [];
  window.addEventListener("beforeprint", () => {
    shut = all("main details:not([open])");
    shut.forEach((fold) => { fold.open = true; });
  });
  window.addEventListener("afterprint", () => shut.forEach((fold) => { fold.open = false; }));

  // --- Contents: beside the text on a wide screen, folded above it on a narrow one; the current section is marked ---
  const contents = document.querySelector("details.contents");
  const narrow = window.matchMedia("(max-width: 62rem)");
  const place = () => { contents.open = !narrow.matches; };
  narrow.addEventListener("change", place);
  place();
  contents.addEventListener("click", (event) => { if (narrow.matches && event.target.closest("a")) contents.open = false; });

  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const heads = all("main section[id]").filter((section) => links.has(section.id));
  let current = null;
  function mark() {
    const passed = heads.filter((section) => section.getBoundingClientRect().top < window.innerHeight / 3);
    const link = passed.length ? links.get(passed[passed.length - 1].id) : links.get(heads[0]?.id);
    if (!link || link === current) return;
    if (current) current.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    current = link;
    const list = contents.parentElement;
    if (!narrow.matches) list.scrollTop = link.offsetTop - list.clientHeight / 2;
  }
  let waiting = false;
  window.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
})();
