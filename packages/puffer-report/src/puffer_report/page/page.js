(() => {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = [...document.querySelectorAll("[data-figure]")];
  const hidden = new Set();
  const SERIES = 8;
  const PRINTED = { large: 330, small: 215 };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const style = name => getComputedStyle(root).getPropertyValue(name).trim();

  function paint(figure, large) {
    const text = style("--soft"), grid = style("--line");
    for (const trace of figure.data) {
      const { group, part } = trace.meta, colour = style(`--series-${group % SERIES}`);
      trace.visible = !hidden.has(group);
      trace.line.color = colour;
      if (part === "band") trace.fillcolor = colour;
      else trace.marker.color = colour;
    }
    const { layout } = figure;
    layout.font = { family: style("--sans"), size: large ? 12 : 11, color: text };
    layout.hoverlabel = { bgcolor: style("--raised"), bordercolor: grid, font: { color: style("--ink") } };
    for (const axis of [layout.xaxis, layout.yaxis]) {
      axis.gridcolor = grid;
      axis.linecolor = grid;
      axis.tickcolor = grid;
    }
    layout.xaxis.showgrid = false;
    layout.xaxis.showline = true;
    layout.xaxis.title.font = { size: 11, color: text };
    layout.xaxis.title.standoff = 6;
    layout.xaxis.ticks = "outside";
    layout.xaxis.ticklen = 4;
  }

  function draw() {
    const printing = root.classList.contains("printing");
    for (const place of places) {
      const figure = figures[place.dataset.figure], large = place.parentElement.classList.contains("large");
      paint(figure, large);
      figure.layout.width = printing ? PRINTED[large ? "large" : "small"] : undefined;
      figure.layout.height = printing ? (large ? 220 : 150) : place.clientHeight;
      figure.layout.autosize = !printing;
      Plotly.react(place, figure.data, figure.layout, {
        responsive: true,
        displayModeBar: false,
      });
    }
  }

  for (const button of document.querySelectorAll("button[data-group]")) {
    button.addEventListener("click", () => {
      const group = Number(button.dataset.group), shown = hidden.has(group);
      if (shown) hidden.delete(group); else hidden.add(group);
      button.setAttribute("aria-pressed", String(shown));
      draw();
    });
  }

  const printing = on => () => { root.classList.toggle("printing", on); draw(); };
  window.addEventListener("beforeprint", printing(true));
  window.addEventListener("afterprint", printing(false));
  dark.addEventListener("change", draw);
  draw();
})();
