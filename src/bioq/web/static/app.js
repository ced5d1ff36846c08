// Adds comfort; every page works without this file.

const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Sort a table by clicks on its headings, and add a filter above it.
 *
 * A cell is sorted by its data-key (a number; empty: unknown, always last), or by its text. A heading
 * with class "text" sorts by letters, ascending first. data-choose on a heading adds a list of its
 * column's values as a filter. */
function enhanceTable(table) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sortRows(table, headings, rows, column));
  });
  addFilter(table, headings, rows);
}

function sortRows(table, headings, rows, column) {
  const heading = headings[column];
  const first = heading.classList.contains("text") ? "ascending" : "descending";
  const now = heading.getAttribute("aria-sort");
  const order = now === null ? first : now === "ascending" ? "descending" : "ascending";
  headings.forEach(other => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const keyed = rows.map(row => {
    const cell = row.cells[column];
    const key = cell.dataset.key;
    return [key === undefined ? cell.textContent.trim() : key === "" ? null : Number(key), row];
  });
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? COLLATOR.compare(a, b) : a - b);
  });
  table.tBodies[0].append(...keyed.map(pair => pair[1]));
}

function addFilter(table, headings, rows) {
  const texts = rows.map(row => row.textContent.toLowerCase());
  const tools = document.createElement("div");
  tools.className = "tools";
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Filter";
  search.setAttribute("aria-label", "Filter the table");
  tools.append(search);
  const chosen = new Map();
  headings.forEach((heading, column) => {
    if (!("choose" in heading.dataset)) return;
    const values = [...new Set(rows.map(row => row.cells[column].textContent.trim()))];
    const select = document.createElement("select");
    const name = heading.textContent.trim();
    select.setAttribute("aria-label", `Only this ${name}`);
    select.append(new Option(`${name}: all`, ""));
    values.sort(COLLATOR.compare).forEach(value => select.append(new Option(value || "(none)", `=${value}`)));
    select.addEventListener("change", () => { chosen.set(column, select.value); apply(); });
    tools.append(select);
  });
  const count = document.createElement("span");
  count.className = "soft";
  count.setAttribute("aria-live", "polite");
  tools.append(count);
  const apply = () => {
    const wanted = search.value.toLowerCase().trim();
    let shown = 0;
    rows.forEach((row, number) => {
      const fits = texts[number].includes(wanted) && [...chosen].every(([column, value]) =>
        value === "" || `=${row.cells[column].textContent.trim()}` === value);
      row.hidden = !fits;
      shown += fits;
    });
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
  };
  search.addEventListener("input", apply);
  (table.closest(".scroll, .tall") ?? table).before(tools);
}

/** Fill a field when an example is clicked, without loading the page again. */
function enhanceExample(link) {
  link.setAttribute("role", "button");
  const fill = event => {
    event.preventDefault();
    const field = document.getElementById(link.dataset.fills);
    field.value = link.dataset.example;
    field.focus();
    field.setSelectionRange(0, 0);
    field.scrollTop = 0;
  };
  link.addEventListener("click", fill);
  link.addEventListener("keydown", event => { if (event.key === " ") fill(event); });
}

/** Show the progress of a job; load the page again when the job has ended. */
async function followJob(progress) {
  const line = document.getElementById("job-line");
  for (;;) {
    await new Promise(resolve => setTimeout(resolve, 1000));
    let state;
    try {
      const answer = await fetch(progress.dataset.state);
      if (!answer.ok) return location.reload();
      state = await answer.json();
    } catch {
      line.textContent = "The server does not answer; trying again…";
      continue;
    }
    if (state.state !== "waiting" && state.state !== "running") return location.reload();
    if (state.done) progress.value = state.done;
    if (line.textContent !== state.line) line.textContent = state.line;
  }
}

/** Copy an address; a page without https has no clipboard, so its text is selected and copied. */
function enhanceCopy(button) {
  const link = document.getElementById(button.dataset.copies);
  link.textContent = link.href;  // behind a proxy the server does not have its address
  button.hidden = false;
  const name = button.textContent;
  button.addEventListener("click", async () => {
    const text = link.href;
    let isCopied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      isCopied = document.execCommand("copy");
      field.remove();
    }
    button.textContent = isCopied ? "Copied" : "Select the address to copy it";
    setTimeout(() => { button.textContent = name; }, 2000);
  });
}

/** Send the form of a link, once: not when the visitor comes back to it. */
function startForm(form) {
  const [loaded] = performance.getEntriesByType("navigation");
  if (loaded?.type === "navigate") form.requestSubmit();
}

/** Write below a figure the number under the pointer, or under a finger. */
function enhanceFigure(box) {
  const line = document.createElement("output");
  line.className = "readout";
  line.textContent = "\u00a0";
  box.after(line);
  box.addEventListener("pointerover", event => {
    const title = event.target.closest("a, g")?.querySelector("title");
    if (title) line.textContent = title.textContent;
  });
}

/** Scroll a figure to what it shows first: the site or the bin that the server chose. */
function scrollToChosen(box) {
  const first = box.querySelector(".chosen, .first, .allele");
  if (!first) return;
  const place = first.getBoundingClientRect(), frame = box.getBoundingClientRect();
  box.scrollLeft += (place.left + place.right - frame.left - frame.right) / 2;
}

/** Load the page again after some seconds, for what the server prepares. */
function reloadLater() {
  setTimeout(() => location.reload(), 4000);
}

/** Scroll the logos of REF and ALT together. */
function scrollTogether(boxes) {
  for (const box of boxes) {
    box.addEventListener("scroll", () => {
      for (const other of boxes) {
        if (Math.abs(other.scrollLeft - box.scrollLeft) > 1) other.scrollLeft = box.scrollLeft;
      }
    });
  }
}

scrollTogether(document.querySelectorAll(".logo-box .scroller"));
document.querySelectorAll("[data-reloads]").forEach(reloadLater);
document.querySelectorAll("form[data-starts]").forEach(startForm);
document.querySelectorAll("button[data-copies]").forEach(enhanceCopy);
document.querySelectorAll(".scroller").forEach(enhanceFigure);
document.querySelectorAll(".scroller").forEach(scrollToChosen);
document.querySelectorAll("table.sortable").forEach(enhanceTable);
document.querySelectorAll("a[data-fills]").forEach(enhanceExample);
document.querySelectorAll("progress[data-state]").forEach(followJob);
