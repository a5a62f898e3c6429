(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;

  function rows(name) {
    const table = data.tables[name];
    return table.rows.map((row) => Object.fromEntries(table.columns.map((column, place) => [column, row[place]])));
  }

  async function draw(plot, tableOf) {
    const chart = data.charts[plot.dataset.chart];
    const datasets = {};
    for (const [inside, table] of Object.entries(chart.data)) datasets[inside] = rows(tableOf(table));
    const layer = chart.spec.layer.filter((one) => datasets[one.data.name].length);
    const values = Object.values(datasets).flat().filter((row) => chart.kind in row).map((row) => row[chart.kind]);
    if (!layer.length || (values.length && values.every((value) => value === 0))) {
      plot.replaceChildren(values.length ? "None at all." : "Nothing was recorded that could be drawn.");
      return;
    }
    try {
      await vegaEmbed(plot, { ...chart.spec, datasets, layer }, {
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

  async function showRun(number) {
    let plan = null;
    for (const panel of document.querySelectorAll(".run-panel")) {
      panel.hidden = panel.dataset.run !== String(number);
      if (!panel.hidden) plan = panel.dataset.plan;
    }
    for (const panel of document.querySelectorAll(".plan-panel")) panel.hidden = panel.dataset.plan !== plan;
    const links = new Set(rows(`links-${number}`).map((row) => row.link));
    const ranks = [...new Set(rows(`tcp-${number}`).map((row) => row.rank))].filter((name) => !links.has(name));
    const legend = document.getElementById("link-legend");
    legend.replaceChildren(...[...links].map(chip), ...(ranks.length ? ["and for TCP: "] : []), ...ranks.map(chip));
    const plots = document.querySelectorAll(".stack .plot");
    await Promise.all([...plots].map((plot) => draw(plot, (table) => `${table}-${number}`)));
  }

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const chooser = document.getElementById("run");
  chooser.addEventListener("change", () => showRun(chooser.value));

  const plots = [...document.querySelectorAll(".grid .plot")];
  Promise.all([...plots.map((plot) => draw(plot, (table) => table)), showRun(chooser.value)]).then(() => {
    root.dataset.charts = "drawn";
  });
})();
