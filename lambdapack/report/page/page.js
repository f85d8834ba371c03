"use strict";
(() => {
  const root = document.documentElement;
  const nodes = [...document.querySelectorAll(".figure")];
  const read = (node) => JSON.parse(document.getElementById(`${node.id}-data`).textContent);
  // The figures' colours are this page's variables, which plotly does not look up itself.
  const coloured = (value, style) => {
    if (typeof value === "string") {
      return value.startsWith("var(") ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((each) => coloured(each, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, style)]));
  };
  const merge = (into, from) => {
    for (const [key, value] of Object.entries(from)) {
      const inner = value !== null && typeof value === "object" && !Array.isArray(value);
      into[key] = inner ? merge(into[key] ?? {}, value) : value;
    }
    return into;
  };
  const draw = () => {
    const style = getComputedStyle(root);
    return Promise.all(nodes.map((node) => {
      const { data, layout, narrow } = coloured(read(node), style);
      if (node.clientWidth < 560) {
        merge(layout, narrow.layout);
        data[0].text = narrow.text ?? data[0].text;
      }
      const config = { displayModeBar: false, displaylogo: false, doubleClick: false, showTips: false };
      return Plotly.react(node, data, { ...layout, width: node.clientWidth }, config);
    }));
  };
  const drawn = draw().then(() => {
    for (const node of nodes) {
      // A tap on a tile would zoom in, with no way back for a keyboard.
      node.on("plotly_treemapclick", () => false);
    }
    root.dataset.drawn = "yes";
  });
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth !== width) {
      width = root.clientWidth;
      drawn.then(draw);
    }
  }).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // On paper in light colours, with every table open.
  const closed = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => {
    root.dataset.print = "";
    opened = closed();
    for (const details of opened) details.open = true;
    draw();
  });
  addEventListener("afterprint", () => {
    delete root.dataset.print;
    for (const details of opened) details.open = false;
    draw();
  });
})();
