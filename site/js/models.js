// The three models in motion. One clock drives three canvases; each shows the
// same twelve clients, whose lines are equally slow in all three.
import { still } from './motion.js';

const scene = await (await fetch('/data/scene.json')).json();
const clients = scene.seconds.length;
const stages = [...document.querySelectorAll('.stage')].map((figure) => ({
  plan: scene.models[figure.dataset.model],
  canvas: figure.querySelector('canvas'),
  count: figure.querySelector('.count'),
}));
const play = document.getElementById('play');
const again = document.getElementById('again');
const end = scene.seconds.reduce((sum, s) => sum + s);
let clock = 0;
let last = 0;
let running = false;

// progress is how much of the file each client has at a moment, from 0 to 1.
function progress(plan, time) {
  let begun = 0;
  return scene.seconds.map((seconds) => {
    const start = plan.oneAtATime ? begun : 0;
    begun += seconds;
    return Math.min(Math.max((time - start) / seconds, 0), 1);
  });
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  return { ink: get('--ink'), fill: get('--fill'), soft: get('--soft'), track: get('--rule'), paper: get('--paper') };
}

function shield(g, x, y, r, c) {
  for (const [radius, fill] of [[r, c.ink], [r * 0.8, c.paper], [r * 0.68, c.fill]]) {
    g.beginPath();
    g.arc(x, y, radius, 0, 2 * Math.PI);
    g.fillStyle = fill;
    g.fill();
  }
}

function draw(stage, c) {
  const { canvas, plan } = stage;
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const g = canvas.getContext('2d');
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  const done = progress(plan, clock);
  const gap = 14, row = (height - gap * 3 - 4) / clients, left = 76;
  const spread = gap * 3 / (plan.workers > 1 ? plan.workers - 1 : 1);
  let y = plan.workers > 1 ? 2 : 2 + gap * 1.5;
  for (let worker = 0; worker < plan.workers; worker++) {
    const own = plan.slots.flatMap((slot, client) => slot === worker ? [client] : []);
    const middle = y + own.length * row / 2;
    for (const client of own) {
      const at = y + row / 2, part = done[client];
      const served = part > 0 || !plan.oneAtATime || client === own[0];
      g.strokeStyle = served ? c.ink : c.soft;
      g.lineWidth = part > 0 && part < 1 ? 1.5 : 1;
      g.setLineDash(served ? [] : [2, 4]);
      g.beginPath();
      g.moveTo(36, middle);
      g.bezierCurveTo(58, middle, 50, at, left - 4, at);
      g.stroke();
      g.setLineDash([]);
      g.fillStyle = c.track;
      g.fillRect(left, at - 4, width - left, 8);
      g.fillStyle = part < 1 ? c.fill : c.ink;
      g.fillRect(left, at - 4, (width - left) * part, 8);
      y += row;
    }
    shield(g, 19, middle, 17, c);
    y += spread;
  }
  const finished = done.filter((p) => p === 1).length;
  const moving = plan.oneAtATime ? Math.min(1, clients - finished) : clients - finished;
  const text = `${moving} receiving, ${clients - finished - moving} waiting, ${finished} served`;
  if (stage.count.textContent !== text) stage.count.textContent = text;
}

function drawAll() {
  const c = colours();
  for (const stage of stages) draw(stage, c);
}

function label() {
  play.textContent = running ? 'Pause' : clock >= end ? 'Play again' : 'Play';
}

function tick(now) {
  if (!running) return;
  clock = Math.min(clock + Math.min(now - last, 100) / 1000, end);
  last = now;
  drawAll();
  if (clock >= end) set(false);
  else requestAnimationFrame(tick);
}

function set(on) {
  if (on && clock >= end) clock = 0;
  running = on;
  label();
  if (!on) return;
  last = performance.now();
  requestAnimationFrame(tick);
}

play.addEventListener('click', () => set(!running));
again.addEventListener('click', () => {
  clock = 0;
  label();
  drawAll();
});
addEventListener('resize', drawAll);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
document.getElementById('controls').hidden = false;
if (still()) clock = scene.still;
drawAll();
label();
if (!still()) set(true);
