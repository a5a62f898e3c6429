(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const where = document.getElementById("where");
  const everyRun = document.getElementById("every-run");
  const chooser = document.getElementById("run");
  const off = new Set(); // places of the strategies that are not shown
  const none = "Nothing was recorded that could be drawn.";

  // What is packed, unpacked once: JSON, gzipped, in base64.
  const unpacked = new Map();
  function unpack(packed) {
    if (!unpacked.has(packed)) {
      const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
      const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      unpacked.set(packed, new Response(plain).json());
    }
    return unpacked.get(packed);
  }

  // A table's columns -> a record per row, without the strategies that are not shown.
  function records(table) {
    const columns = Object.entries(table);
    const made = columns[0][1].map((_, row) => Object.fromEntries(columns.map(([name, values]) => [name, values[row]])));
    return made.filter((row) => !off.has(data.labels.indexOf(row.label)));
  }

  // Several seeds are a mean, unless every run is to be drawn, or a run of the strategy is not.
  function chosenCurves(datasets, scenario) {
    const boxes = document.querySelectorAll(`[data-scenario="${scenario}"] .drawn:not(:checked)`);
    const name = (label, seed) => `${seed} ${label}`;
    const gone = new Set([...boxes].map((box) => name(box.dataset.label, box.dataset.seed)));
    const partly = new Set([...boxes].map((box) => box.dataset.label));
    const several = datasets.mean.some((row) => row.seeds > 1) && !everyRun?.checked;
    datasets.mean = several ? datasets.mean.filter((row) => !partly.has(row.label)) : [];
    const asMean = new Set(datasets.mean.map((row) => row.label));
    datasets.curve = datasets.curve.filter((row) => !asMean.has(row.label));
    for (const table of ["curve", "hits"]) {
      datasets[table] = datasets[table].filter((row) => !gone.has(name(row.label, row.seed)));
    }
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

  // All charts of a run over time have the same axis: from the first step; of a command from its start.
  function span(tables) {
    const times = Object.values(tables).flatMap(({ seconds = [], start = [], end = [] }) => [...seconds, ...start, ...end]);
    const least = times.reduce((low, time) => Math.min(low, time), 0);
    return [tables.steps.seconds.length ? 0 : least, times.reduce((high, time) => Math.max(high, time), -Infinity)];
  }
  function spanning(spec, domain, strips) {
    const layer = spec.layer.map((one) => {
      const x = { ...one.encoding.x, scale: { ...one.encoding.x.scale, domain } };
      return { ...one, encoding: { ...one.encoding, x } };
    });
    return { ...spec, layer, height: spec.height.step ? spec.height.step * strips : spec.height };
  }

  async function embed(plot, chart, datasets, domain) {
    const strips = new Set(datasets.use?.map((row) => row.edge)).size;
    const spec = domain ? spanning(chart.spec, domain, strips) : fitted(chart.spec);
    const layer = spec.layer.filter((one) => datasets[one.data.name].length);
    const values = Object.values(datasets).flat().filter((row) => chart.kind in row).map((row) => row[chart.kind]);
    if (!layer.length || (values.length && values.every((value) => value === 0))) {
      plot.replaceChildren(values.length ? "None at all." : off.size ? "Nothing to draw of the strategies shown." : none);
      return;
    }
    await vegaEmbed(plot, { ...spec, datasets, layer }, {
      actions: false, ast: true, config: data.config, renderer: "svg", tooltip: { theme: "custom" },
    });
  }

  async function draw(plot, datasetsOf, domain) {
    try {
      const chart = data.charts[plot.dataset.chart];
      await embed(plot, chart, await datasetsOf(chart), domain);
    } catch (error) {
      console.error(error);
      plot.textContent = `This chart could not be drawn: ${error}`;
    }
  }

  async function ofScenario(chart) {
    const datasets = {};
    let number = 0;
    for (const [inside, table] of Object.entries(chart.data)) {
      const [, name, place] = /^(.*)-(\d+)$/.exec(table);
      datasets[inside] = records((await unpack(data.scenarios[place]))[name]);
      number = place;
    }
    if (datasets.mean) chosenCurves(datasets, number);
    return datasets;
  }

  function chip(name, place) {
    const made = document.createElement("span");
    const colour = document.createElement("i");
    made.className = "chip";
    colour.style.setProperty("--own", `var(--c${place % data.config.range.category.length})`);
    made.append(colour, name);
    return made;
  }

  // The colours of a part's charts: of each kind of thing that has colours, in the order of the data.
  function legend(part, charts, tables) {
    const kinds = new Map();
    for (const chart of charts.filter((one) => one.series)) {
      const values = tables[Object.values(chart.data)[0]][chart.series];
      if (values.length) kinds.set(chart.series, [...new Set(values)]);
    }
    const chips = [...kinds.values()].map((names) => names.map(chip));
    part.querySelector(".legend").replaceChildren(...chips.flatMap((some, place) => (place ? [" and: ", ...some] : some)));
  }

  // What the page says of another run, or of its network: unpacked when it is first asked for.
  async function showPanel(holder, kind, place, packed) {
    for (const panel of holder.children) panel.hidden = panel.dataset[kind] !== place;
    if (place === undefined || [...holder.children].some((panel) => !panel.hidden)) return;
    const made = document.createElement("template");
    made.innerHTML = (await unpack(packed))[place];
    holder.append(made.content);
  }

  async function showRun() {
    const number = chooser.value;
    const panels = document.getElementById("panels");
    await showPanel(panels, "run", number, data.panels);
    const plans = document.getElementById("plans");
    if (plans) await showPanel(plans, "plan", panels.querySelector(":scope > :not([hidden])").dataset.plan, data.plans);
    const tables = await unpack(data.runs[number]);
    const drawn = [];
    const domain = span(tables);
    for (const part of document.querySelectorAll(".part")) {
      const plots = [...part.querySelectorAll(".plot")];
      const charts = plots.map((plot) => data.charts[plot.dataset.chart]);
      const known = charts.map((chart) => Object.values(tables[Object.values(chart.data)[0]])[0].length > 0);
      part.hidden = !known.includes(true);
      legend(part, charts, tables);
      plots.forEach((plot, place) => {
        plot.closest("figure").hidden = !known[place];
        const datasets = ({ data }) => Object.fromEntries(Object.keys(data).map((name) => [name, records(tables[name])]));
        if (known[place]) drawn.push(draw(plot, datasets, domain));
      });
    }
    document.getElementById("over-time").hidden = !drawn.length;
    await Promise.all(drawn);
  }

  // Hides what belongs to another scenario or to a strategy that is switched off, and draws what is left.
  async function show() {
    root.dataset.charts = "drawing";
    const wordsOf = {};
    for (const find of document.querySelectorAll("[data-find]")) {
      wordsOf[find.dataset.find] = find.value.toLowerCase().split(/\s+/);
    }
    for (const one of document.querySelectorAll("[data-scenario]")) {
      const here = !where || ["all", one.dataset.scenario].includes(where.value);
      const words = wordsOf[one.closest(".tall")?.id] ?? [];
      const found = words.every((word) => one.textContent.toLowerCase().includes(word));
      one.hidden = !here || !found || off.has(Number(one.dataset.strategy ?? -1));
    }
    const gone = [...document.querySelectorAll(".drawn:not(:checked)")].map((box) => box.ariaLabel);
    const state = `${[...off].sort()} ${everyRun?.checked} ${gone}`;
    const plots = [...document.querySelectorAll("figure:not([hidden]) > .plot")].filter(
      (plot) => plot.closest(".grid") && plot.dataset.state !== state,
    );
    for (const plot of plots) plot.dataset.state = state;
    await Promise.all(plots.map((plot) => draw(plot, ofScenario)));
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
  for (const link of document.querySelectorAll("[data-show]")) {
    link.addEventListener("click", () => {
      chooser.value = link.dataset.show;
      showRun();
    });
  }
  chooser.addEventListener("change", showRun);
  for (const control of [where, everyRun, ...document.querySelectorAll(".drawn")]) control?.addEventListener("change", show);
  for (const find of document.querySelectorAll("[data-find]")) find.addEventListener("input", show);
  showRun().then(show);
})();
