// The inside of the machine on a canvas. The server's frames come ten times a
// second; this file shows the world a tenth of a second late and in between.

import { drawClaw } from './claw.js';
import { Confetti } from './confetti.js';
import { drawToy } from './toys.js';

const W = 360;
const H = 392;
const frameTime = 100; // milliseconds between the server's frames
const chute = { width: 24, depth: 28 };
const toySize = 74;
const toySink = 7; // a toy sits a little before its middle

/** Machine coordinates (x, y depth, z height, each 0–100) to the canvas. */
function project(x, y, z = 0) {
  const scale = 1 - 0.0036 * y;
  return { x: W / 2 + (x - 50) * 3.2 * scale, y: 14 + (352 - z * 2.3) * scale, scale };
}

const mix = (a, b, t) => a + (b - a) * t;

export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    this.g = canvas.getContext('2d');
    this.still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.toys = new Map(); // id → what is drawn of it
    this.sway = { angle: 0, speed: 0, lastX: null, lastSpeed: 0 };
    this.confetti = new Confetti(W, H);
    const draw = (time) => {
      this.draw(time);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  /** Takes a frame of the server. */
  show(frame) {
    const now = performance.now();
    // After a pause the way begins now, not when the pause began.
    const since = this.next ? Math.max(this.nextTime, now - frameTime) : now - frameTime;
    this.before = this.next || frame;
    this.next = frame;
    this.beforeTime = since;
    this.nextTime = now;
  }

  celebrate() {
    if (!this.still) this.confetti.start();
  }

  draw(time) {
    const scale = Math.min(3, devicePixelRatio || 1) * (this.canvas.clientWidth / W || 1);
    if (this.canvas.width !== Math.round(W * scale)) {
      this.canvas.width = Math.round(W * scale);
      this.canvas.height = Math.round(H * scale);
    }
    const { g } = this;
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, W, H);
    drawRoom(g);
    if (!this.next) return;

    const t = Math.min(1, Math.max(0, (time - this.nextTime) / Math.max(frameTime / 2, this.nextTime - this.beforeTime)));
    const claw = {};
    for (const key of ['x', 'y', 'z', 'grip']) claw[key] = mix(this.before.claw[key], this.next.claw[key], t);
    claw.angle = this.swing(claw.x, time);

    const toys = this.placeToys(t, time);
    const held = toys.find((toy) => toy.id === this.next.held);
    const loose = toys.filter((toy) => toy !== held).sort((a, b) => b.y - a.y);
    drawShadow(g, { x: claw.x, y: claw.y, z: claw.z });
    for (const toy of loose) drawShadow(g, toy);
    // Back to front; the claw hangs between the toys behind it and those before it.
    for (const toy of loose.filter((toy) => toy.y >= claw.y)) this.drawToy(toy);
    drawClaw(g, project, claw, held && ((hub) => this.drawHeld(held, hub)));
    for (const toy of loose.filter((toy) => toy.y < claw.y)) this.drawToy(toy);
    if (this.next.phase === 'aim' || this.next.phase === 'drop') drawAim(g, claw);
    drawGuard(g);
    this.confetti.draw(g, time);
  }

  /** Where each toy is now. A toy that is new swells up; one that is gone is forgotten. */
  placeToys(t, time) {
    const old = new Map(this.before.toys.map((toy) => [toy.id, toy]));
    const seen = new Map();
    for (const toy of this.next.toys) {
      const from = old.get(toy.id) || toy;
      const born = this.toys.get(toy.id)?.born ?? (this.toys.size ? time : -Infinity);
      seen.set(toy.id, {
        ...toy, born,
        x: mix(from.x, toy.x, t), y: mix(from.y, toy.y, t), z: mix(from.z, toy.z, t),
        size: Math.min(1, Math.max(0.05, (time - born) / 350)),
      });
    }
    this.toys = seen;
    return [...seen.values()];
  }

  drawToy(toy) {
    const { g } = this;
    const at = project(toy.x, toy.y, toy.z);
    g.save();
    g.translate(at.x, at.y + toySink * at.scale);
    drawToy(g, toy.kind, toySize * at.scale * toy.size, toy.tilt);
    g.restore();
  }

  /** Draws a toy that swings with the claw; the origin is the claw's resting hub. */
  drawHeld(toy, hub) {
    const { g } = this;
    const at = project(toy.x, toy.y, toy.z);
    g.save();
    g.translate((at.x - hub.x) / hub.scale, (at.y - hub.y) / hub.scale + toySink);
    drawToy(g, toy.kind, toySize, toy.tilt / 3);
    g.restore();
  }

  /** The claw hangs on a cable: it leans against its own acceleration and swings out. */
  swing(x, time) {
    const s = this.sway;
    const step = Math.min(0.05, (time - (s.time ?? time)) / 1000);
    s.time = time;
    if (this.still || !step) return 0;
    const speed = (x - (s.lastX ?? x)) / step;
    s.smooth = mix(s.smooth || 0, speed, 0.25);
    const push = (s.smooth - s.lastSpeed) / step;
    s.lastX = x;
    s.lastSpeed = s.smooth;
    s.speed += (-push * 0.012 - s.angle * 55 - s.speed * 3.2) * step;
    s.angle = Math.max(-0.3, Math.min(0.3, s.angle + s.speed * step));
    return s.angle;
  }
}

function shape(g, points, fill) {
  g.beginPath();
  for (const [x, y, z] of points) {
    const p = project(x, y, z);
    g.lineTo(p.x, p.y);
  }
  g.closePath();
  g.fillStyle = fill;
  g.fill();
}

function gradient(g, y0, y1, from, to) {
  const fill = g.createLinearGradient(0, y0, 0, y1);
  fill.addColorStop(0, from);
  fill.addColorStop(1, to);
  return fill;
}

function drawRoom(g) {
  const [left, right, near, far, top] = [-9, 109, -22, 104, 165];
  g.fillStyle = '#ffdcc4';
  g.fillRect(0, 0, W, H);
  // Back wall with stripes.
  shape(g, [[left, far, 0], [right, far, 0], [right, far, top], [left, far, top]], gradient(g, 0, 250, '#86cfcc', '#cdf1e8'));
  const stripe = (right - left) / 18;
  for (let x = left; x < right; x += 2 * stripe) {
    shape(g, [[x, far, 0], [x + stripe, far, 0], [x + stripe, far, top], [x, far, top]], '#ffffff2e');
  }
  for (const x of [left, right]) {
    shape(g, [[x, near, 0], [x, far, 0], [x, far, top], [x, near, top]], gradient(g, 0, 380, '#62b4b4', '#a9dfd6'));
  }
  // Floor in squares: the eye needs them to judge depth.
  shape(g, [[left, near], [right, near], [right, far], [left, far]], gradient(g, 240, 390, '#ffd4ab', '#ffe9cf'));
  const [width8, depth8] = [(right - left) / 8, (far - near) / 8];
  for (let i = 0; i < 8; i++) {
    for (let j = 0; j < 8; j++) {
      if ((i + j) % 2) continue;
      const [x, y] = [left + i * width8, near + j * depth8];
      shape(g, [[x, y], [x + width8, y], [x + width8, y + depth8], [x, y + depth8]], '#ffffff66');
    }
  }
  // The hole in the corner, and the acrylic behind it.
  const { width, depth } = chute;
  shape(g, [[left, near], [width, near], [width, depth], [left, depth]], '#e8536b');
  shape(g, [[left, near], [width - 2, near], [width - 2, depth - 3], [left, depth - 3]], gradient(g, 330, 400, '#6b3154', '#32152a'));
  shape(g, [[left, depth, 0], [width, depth, 0], [width, depth, 15], [left, depth, 15]], '#ffffff80');
  shape(g, [[left, depth, 14], [width, depth, 14], [width, depth, 17], [left, depth, 17]], '#e8536b');
}

/** The acrylic on the hole's right side stands before what lies behind it. */
function drawGuard(g) {
  const { width, depth } = chute;
  shape(g, [[width, -22, 0], [width, depth, 0], [width, depth, 15], [width, -22, 15]], '#ffffff66');
  shape(g, [[width, -22, 14], [width, depth, 14], [width, depth, 17], [width, -22, 17]], '#d2405c');
}

function drawShadow(g, toy) {
  const at = project(toy.x, toy.y);
  const spread = 1 - toy.z / 220;
  if (toy.x < chute.width && toy.y < chute.depth) return; // over the hole
  g.beginPath();
  g.ellipse(at.x, at.y + 4 * at.scale, 29 * at.scale * spread, 10 * at.scale * spread, 0, 0, 7);
  g.fillStyle = '#6b2d2d30';
  g.fill();
}

/** Where the claw would come down: a line from it to a ring on the floor. */
function drawAim(g, claw) {
  const from = project(claw.x, claw.y, claw.z);
  const to = project(claw.x, claw.y);
  g.strokeStyle = '#e8344fcc';
  g.lineWidth = 1.5;
  g.setLineDash([2, 6]);
  g.beginPath();
  g.moveTo(from.x, from.y);
  g.lineTo(to.x, to.y);
  g.stroke();
  g.lineWidth = 2.5;
  g.setLineDash([7, 5]);
  g.beginPath();
  g.ellipse(to.x, to.y, 27 * to.scale, 11 * to.scale, 0, 0, 7);
  g.stroke();
  g.setLineDash([]);
}
