"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const SHOWN = [
  ["tpot_s", "time per output token", "ms", 1e3],
  ["ttft_s", "time to first token", "ms", 1e3],
  ["throughput_per_device_per_s", "output tokens/s per device", "", 1],
  ["cost_per_mtoken_usd", "cost per million output tokens", "USD", 1],
  ["energy_per_mtoken_j", "energy per million output tokens", "MJ", 1e-6],
  ["carbon", "CO2e per million output tokens", "kg", 1],
];
const STRESS = Object.keys(content.metrics).filter(name => name.startsWith("decode_stress_"));
const COLOURS = ["#e69f00", "#0072b2", "#56b4e9", "#999999", "#cc79a7", "#009e73", "#006b4e", "#f0e442", "#d55e00"];

/* --- numbers: the grid, and what lies between its points (as infercost.explorer.cube) --- */

async function bytes(text) {
  const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const sizes = content.axes.map(axis => axis.values.length);
let limit;

async function unpack() {
  limit = await bytes(content.limit);
  await Promise.all(Object.values(content.metrics).map(async metric => {
    const found = await bytes(metric.data), count = found.length / 2;
    metric.values = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const code = found[i] + 256 * found[count + i], scaled = metric.low + code * metric.step;
      metric.values[i] = code === 65535 ? NaN : metric.log ? Math.exp(scaled) : scaled;
    }
    metric.strides = [];
    let stride = 1;
    for (const dim of [...metric.dims].reverse()) {
      metric.strides.unshift(stride);
      stride *= sizes[dim];
    }
    delete metric.data;
  }));
}

function corners(axis, value) {
  if (axis.stepped) return [[axis.values.indexOf(value), 1]];
  let upper = axis.values.findIndex(point => point >= value);
  upper = Math.min(Math.max(upper < 0 ? axis.values.length - 1 : upper, 1), axis.values.length - 1);
  const scale = axis.reciprocal ? x => 1 / x : x => x;
  const low = scale(axis.values[upper - 1]), high = scale(axis.values[upper]);
  const share = (scale(value) - low) / (high - low);
  return [[upper - 1, 1 - share], [upper, share]].filter(([, weight]) => weight > 1e-12);
}

/* Lagrange's weights of the three points around a value, the third the nearer by ratio. */
function parabola(axis, value) {
  const near = corners(axis, value), known = axis.values;
  if (near.length === 1 || known.length < 3) return near;
  const lower = near[0][0], upper = near[1][0];
  const below = lower > 0 ? value / known[lower - 1] : Infinity;
  const above = upper + 1 < known.length ? known[upper + 1] / value : Infinity;
  const first = below < above ? lower - 1 : lower, three = [first, first + 1, first + 2];
  return three.map(i => [i, three.filter(j => j !== i).reduce((w, j) => w * (value - known[j]) / (known[i] - known[j]), 1)]);
}

function combined(lists) {
  let found = [[[], 1]];
  for (const list of lists) {
    found = found.flatMap(([index, weight]) => list.map(([at, share]) => [[...index, at], weight * share]));
  }
  return found;
}

function isHot(place) {
  const position = content.axes.findIndex(axis => axis.name === "direction");
  return position >= 0 && content.hot.includes(place[position]);
}

function limitAt(points) {
  for (const [index] of points) {
    const flat = index.reduce((sum, at, dim) => sum * sizes[dim] + at, 0);
    if (limit[flat] > 0) return content.limits[limit[flat]];
  }
  return "";
}

function read(metric, index) {
  return metric.values[metric.dims.reduce((sum, dim, i) => sum + index[dim] * metric.strides[i], 0)];
}

function valueAt(metric, points) {
  let total = 0;
  for (const [index, weight] of points) {
    const value = read(metric, index);
    total += weight * (metric.reciprocal ? 1 / value : value);
  }
  return metric.reciprocal ? 1 / total : total;
}

function evaluate(place) {
  const near = content.axes.map((axis, i) => corners(axis, place[i]));
  const points = combined(near);
  const between = isHot(place) && content.axes.some((axis, i) => axis.heated && near[i].length > 1);
  const found = {limit: limitAt(points), between};
  const laid = combined(near.map((list, i) => content.axes[i].length ? parabola(content.axes[i], place[i]) : list));
  const ends = [0, -1].map(end => combined(near.map((list, i) =>
    content.axes[i].length ? [[list.at(end)[0], 1]] : list)));
  const bent = limitAt(laid) ? null : laid;
  for (const [name, metric] of Object.entries(content.metrics)) {
    found[name] = found.limit || between ? NaN : valueAt(metric, points);
    if (metric.curved && bent && !found.limit && !between) {
      // A parabola that leaves the two points next to the place follows no time.
      const value = valueAt(metric, bent), [a, b] = ends.map(end => valueAt(metric, end));
      if (Math.min(a, b) <= value && value <= Math.max(a, b)) found[name] = value;
    }
  }
  found.carbon = found.operational_carbon_per_mtoken_kgco2e + found.embodied_carbon_per_mtoken_kgco2e;
  return found;
}
window.infercostExplorer = {evaluate, axes: content.axes};

/* --- controls --- */

const state = content.axes.map(axis => {
  if (axis.numeric && !axis.stepped && axis.values.includes(1)) return 1;
  return axis.name === "batch" ? axis.values[Math.floor(axis.values.length / 2)] : axis.values[0];
});
let pinned = null;
const settlers = [];
const controls = document.getElementById("controls");

function shown(value) {
  return Number.isFinite(value) ? Number(value.toPrecision(4)).toLocaleString("en") : "–";
}

content.axes.forEach((axis, position) => {
  const row = document.createElement("div");
  const label = document.createElement("label");
  label.htmlFor = `axis-${position}`;
  label.textContent = axis.label;
  row.append(label);
  let input;
  if (axis.numeric && !axis.stepped) {
    input = document.createElement("input");
    input.type = "range";
    // Ratios alike, where no value is zero.
    const [to, from] = axis.values[0] > 0 ? [Math.log, Math.exp] : [x => x, x => x];
    const low = to(axis.values[0]), high = to(axis.values.at(-1));
    Object.assign(input, {min: 0, max: 200, step: 1});
    const output = document.createElement("output");
    output.htmlFor = input.id = `axis-${position}`;
    const tell = () => {
      output.textContent = shown(state[position]);
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const tick = () => { input.value = Math.round(200 * (to(state[position]) - low) / (high - low)); };
    tick();
    settlers.push(() => {
      if (!axis.heated || !isHot(state)) return;
      const away = point => Math.abs(to(point) - to(state[position]));
      state[position] = axis.values.reduce((best, point) => away(point) < away(best) ? point : best);
      tick();
      tell();
    });
    input.addEventListener("input", () => {
      const exact = from(low + (high - low) * input.value / 200);
      // The points of the grid are easy to hit.
      const near = axis.values.find(point => Math.abs(to(point) - to(exact)) < (high - low) / 250);
      state[position] = near ?? exact;
      tell();
      draw();
    });
    row.append(input, output);
    tell();
  } else {
    input = document.createElement("select");
    input.id = `axis-${position}`;
    for (const value of axis.values) input.add(new Option(axis.numeric ? shown(value) : value, value));
    input.value = state[position];
    input.addEventListener("change", () => {
      state[position] = axis.values[input.selectedIndex];
      draw();
    });
    row.append(input);
  }
  controls.append(row);
});

const objective = {tpot: document.getElementById("slo-tpot"), ttft: document.getElementById("slo-ttft")};
Object.values(objective).forEach(input => input.addEventListener("input", draw));
document.getElementById("best").addEventListener("click", () => {
  const position = content.axes.findIndex(axis => axis.name === "batch");
  let best = null;
  for (const value of content.axes[position].values) {
    const place = [...state];
    place[position] = value;
    const found = evaluate(place);
    if (!found.limit && meets(found) && (best === null || found.cost_per_mtoken_usd < best[1])) {
      best = [value, found.cost_per_mtoken_usd];
    }
  }
  const told = document.getElementById("told");
  if (best === null) {
    told.textContent = "No batch of the grid meets the objectives.";
    return;
  }
  state[position] = best[0];
  document.getElementById(`axis-${position}`).value = best[0];
  told.textContent = `Batch ${best[0]} is the cheapest of the grid that meets the objectives.`;
  draw();
});
document.getElementById("pin").addEventListener("click", () => { pinned = [...state]; draw(); });
document.getElementById("unpin").addEventListener("click", () => { pinned = null; draw(); });

function meets(found) {
  const tpot = Number(objective.tpot.value) / 1e3, ttft = Number(objective.ttft.value);
  return !(tpot > 0 && found.tpot_s > tpot) && !(ttft > 0 && found.ttft_s > ttft);
}

/* --- results --- */

function element(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function draw() {
  settlers.forEach(settle => settle());
  document.getElementById("hot").hidden = !isHot(state);
  const found = evaluate(state), other = pinned && evaluate(pinned);
  const verdict = document.getElementById("verdict");
  verdict.textContent = found.limit ? `Infeasible here: ${found.limit} runs out.`
    : meets(found) ? "Feasible, within the objectives." : "Feasible, but misses an objective.";
  verdict.className = found.limit || !meets(found) ? "bad" : "good";
  const rows = document.getElementById("results");
  rows.replaceChildren(...SHOWN.map(([name, label, unit, factor]) => {
    const row = document.createElement("tr");
    const cells = [label, `${shown(found[name] * factor)} ${unit}`];
    cells.push(other ? `${shown(other[name] * factor)} ${unit}` : "");
    const ratio = other ? found[name] / other[name] : NaN;
    cells.push(Number.isFinite(ratio) ? `× ${shown(ratio)}` : "");
    cells.forEach((text, i) => {
      const cell = document.createElement(i ? "td" : "th");
      if (!i) cell.scope = "row";
      cell.dataset.metric = i === 1 ? name : "";
      if (i === 1) cell.dataset.value = found[name];
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
  document.getElementById("pinned").textContent = pinned
    ? content.axes.map((axis, i) => `${axis.label} ${axis.numeric ? shown(pinned[i]) : pinned[i]}`).join(", ")
    : "nothing pinned";
  drawStress(found, other);
  drawRoofline(found);
}

function drawStress(found, other) {
  const svg = document.getElementById("stress");
  svg.replaceChildren();
  const legend = [];
  [["now", found], ["pinned", other]].forEach(([label, result], line) => {
    if (!result) return;
    svg.append(element("text", {x: 0, y: 24 + 44 * line, class: "axis"}, label));
    let left = 70;
    STRESS.forEach((name, i) => {
      const share = result[name];
      if (!(share > 0)) return;
      const words = name.replace("decode_stress_", "").replaceAll("_", " ");
      const bar = element("rect", {x: left, y: 6 + 44 * line, width: 560 * share, height: 28, fill: COLOURS[i % COLOURS.length]});
      bar.append(element("title", {}, `${words} ${(100 * share).toFixed(1)} %`));
      svg.append(bar);
      left += 560 * share;
      if (line === 0) legend.push([words, share, i]);
    });
  });
  legend.sort((a, b) => b[1] - a[1]);
  document.getElementById("stress-words").replaceChildren(...legend.map(([words, share, i]) => {
    const item = document.createElement("li");
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.style.background = COLOURS[i % COLOURS.length];
    item.append(mark, `${words} ${(100 * share).toFixed(1)} %`);
    return item;
  }));
}

function drawRoofline(found) {
  const svg = document.getElementById("roofline");
  svg.replaceChildren();
  const device = state[content.axes.findIndex(axis => axis.name === "hardware")];
  const factor = content.axes.reduce((f, axis, i) =>
    axis.name.endsWith("memory.main.bandwidth") ? f * state[i] : f, 1);
  const roof = content.roofs[device];
  if (!roof) return;
  const bandwidth = roof.bandwidth * factor;
  const x = v => 60 + (Math.log10(v) + 1) / 5 * 540, y = v => 250 - (Math.log10(v) - 10) / 6.5 * 230;
  const ridge = roof.peak / bandwidth;
  for (let d = -1; d <= 4; d++) {
    svg.append(element("line", {x1: x(10 ** d), x2: x(10 ** d), y1: 20, y2: 250, class: "grid"}));
    svg.append(element("text", {x: x(10 ** d), y: 268, class: "axis", "text-anchor": "middle"}, String(10 ** d)));
  }
  svg.append(element("text", {x: 330, y: 288, class: "axis", "text-anchor": "middle"}, "FLOP per byte of memory traffic (log scale)"));
  const points = [[0.1, 0.1 * bandwidth], [ridge, roof.peak], [10000, roof.peak]];
  svg.append(element("polyline", {points: points.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), class: "roof"}));
  svg.append(element("text", {x: x(10000), y: y(roof.peak) - 6, class: "axis", "text-anchor": "end"}, `${shown(roof.peak / 1e12)} TFLOP/s`));
  svg.append(element("text", {x: 64, y: y(0.1 * bandwidth) - 8, class: "axis"}, `${shown(bandwidth / 1e12)} TB/s`));
  const flops = found.decode_device_flops_flop, moved = found.decode_device_moved_b;
  if (flops > 0 && moved > 0 && found.throughput_per_device_per_s > 0) {
    const intensity = flops / moved, attainable = Math.min(roof.peak, intensity * bandwidth);
    svg.append(element("circle", {cx: x(intensity), cy: y(attainable), r: 6, class: "point"}));
    svg.append(element("text", {x: x(intensity) + 10, y: y(attainable) + 14, class: "axis"}, "decode, at most"));
  }
}

unpack().then(() => {
  draw();
  document.documentElement.dataset.ready = "yes";
});
