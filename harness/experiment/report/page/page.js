(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const where = document.getElementById("where");
  const everyRun = document.getElementById("every-run");
  const find = document.getElementById("find");
  const chooser = document.getElementById("run");
  const off = new Set(); // places of the strategies that are not shown

  async function rows(name) {
    if (typeof data.tables[name] === "string") {
      const bytes = Uint8Array.from(atob(data.tables[name]), (letter) => letter.charCodeAt(0));
      const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      data.tables[name] = JSON.parse(await new Response(plain).text());
    }
    const { columns, rows } = data.tables[name];
    const made = rows.map((row) => Object.fromEntries(columns.map((column, place) => [column, row[place]])));
    return made.filter((row) => !off.has(data.labels.indexOf(row.label)));
  }

  // Bars have a row per strategy: without those of strategies that are not shown.
  function fitted(spec) {
    const all = spec.layer[0].encoding.y.scale?.domain;
    if (!all) return spec;
    const domain = all.filter((label) => !off.has(data.labels.indexOf(label)));
    const layer = spec.layer.map((one) => {
      const y = { ...one.encoding.y, sort: domain, scale: { domain } };
      return { ...one, encoding: { ...one.encoding, y } };
    });
    return { ...spec, layer, height: (spec.height * domain.length) / all.length };
  }

  async function draw(plot, tableOf) {
    const chart = data.charts[plot.dataset.chart];
    try {
      const datasets = {};
      for (const [inside, table] of Object.entries(chart.data)) datasets[inside] = await rows(tableOf(table));
      if (datasets.mean) {
        const several = datasets.mean.some((row) => row.seeds > 1);
        datasets[several && !everyRun?.checked ? "curve" : "mean"] = [];
      }
      const spec = fitted(chart.spec);
      const layer = spec.layer.filter((one) => datasets[one.data.name].length);
      const values = Object.values(datasets).flat().filter((row) => chart.kind in row).map((row) => row[chart.kind]);
      if (!layer.length || (values.length && values.every((value) => value === 0))) {
        const none = off.size ? "Nothing to draw of the strategies shown." : "Nothing was recorded that could be drawn.";
        plot.replaceChildren(values.length ? "None at all." : none);
        return;
      }
      await vegaEmbed(plot, { ...spec, datasets, layer }, {
        actions: false, ast: true, config: data.config, renderer: "svg", tooltip: { theme: "custom" },
      });
    } catch (error) {
      console.error(error);
      plot.textContent = `This chart could not be drawn: ${error}`;
    }
  }

  function chip(name, place) {
    const made = document.createElement("span");
    const colour = document.createElement("i");
    made.className = "chip";
    colour.style.setProperty("--own", `var(--c${place % data.config.range.category.length})`);
    made.append(colour, name);
    return made;
  }

  async function showRun() {
    const number = chooser.value;
    let plan = null;
    for (const panel of document.querySelectorAll(".run-panel")) {
      panel.hidden = panel.dataset.run !== number;
      if (!panel.hidden) plan = panel.dataset.plan;
    }
    for (const panel of document.querySelectorAll(".plan-panel")) panel.hidden = panel.dataset.plan !== plan;
    const links = new Set((await rows(`links-${number}`)).map((row) => row.link));
    const ranks = [...new Set((await rows(`tcp-${number}`)).map((row) => row.rank))].filter((name) => !links.has(name));
    const legend = document.getElementById("link-legend");
    legend.replaceChildren(...[...links].map(chip), ...(ranks.length ? ["and for TCP: "] : []), ...ranks.map(chip));
    const plots = document.querySelectorAll(".stack .plot");
    await Promise.all([...plots].map((plot) => draw(plot, (table) => `${table}-${number}`)));
  }

  // Hides what belongs to another scenario or to a strategy that is switched off, and draws what is left.
  async function show() {
    root.dataset.charts = "drawing";
    const words = find.value.toLowerCase().split(/\s+/);
    for (const one of document.querySelectorAll("[data-scenario]")) {
      const here = !where || ["all", one.dataset.scenario].includes(where.value);
      const found = !one.closest("#all-runs") || words.every((word) => one.textContent.toLowerCase().includes(word));
      one.hidden = !here || !found || off.has(Number(one.dataset.strategy ?? -1));
    }
    const state = `${[...off].sort()} ${everyRun?.checked}`;
    const plots = [...document.querySelectorAll("figure:not([hidden]) > .plot")].filter(
      (plot) => plot.closest(".grid") && plot.dataset.state !== state,
    );
    for (const plot of plots) plot.dataset.state = state;
    await Promise.all(plots.map((plot) => draw(plot, (table) => table)));
    root.dataset.charts = "drawn";
  }

  function sort(table, column) {
    const head = table.tHead.rows[0].cells;
    const up = head[column].getAttribute("aria-sort") !== "ascending";
    for (const cell of head) cell.removeAttribute("aria-sort");
    head[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    const number = head[column].classList.contains("number");
    const key = (row) => {
      const cell = row.cells[column];
      return number ? Number(cell.dataset.sort ?? (parseFloat(cell.textContent) || Infinity)) : cell.textContent.trim();
    };
    const order = (a, b) => (number ? key(a) - key(b) || 0 : key(a).localeCompare(key(b), "en", { numeric: true }));
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
  }

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  for (const button of document.querySelectorAll(".toggle")) {
    button.addEventListener("click", () => {
      const place = Number(button.dataset.toggle);
      if (!off.delete(place)) off.add(place);
      button.setAttribute("aria-pressed", !off.has(place));
      show();
    });
  }
  for (const table of document.querySelectorAll(".tall table")) {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      cell.firstChild.addEventListener("click", () => sort(table, column));
    });
  }
  chooser.addEventListener("change", showRun);
  for (const control of [where, everyRun]) control?.addEventListener("change", show);
  find.addEventListener("input", show);
  showRun().then(show);
})();
