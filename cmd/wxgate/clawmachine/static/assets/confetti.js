// Two seconds of paper.

const colors = ['#f25f5c', '#ffd166', '#2a9d8f', '#8ecae6', '#f7b7c5', '#b388eb'];
const life = 2200; // milliseconds

export class Confetti {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.pieces = [];
  }

  start() {
    this.began = undefined;
    this.pieces = Array.from({ length: 90 }, (_, i) => ({
      x: this.width * Math.random(), y: -20 - 120 * Math.random(),
      dx: 60 * (Math.random() - 0.5), dy: 120 + 120 * Math.random(),
      turn: 7 * Math.random(), spin: 8 * (Math.random() - 0.5), color: colors[i % colors.length],
    }));
  }

  draw(g, time) {
    if (!this.pieces.length) return;
    this.began ??= time;
    const age = time - this.began;
    if (age > life) {
      this.pieces = [];
      return;
    }
    const seconds = age / 1000;
    g.globalAlpha = Math.min(1, (life - age) / 500);
    for (const p of this.pieces) {
      g.save();
      g.translate(p.x + p.dx * seconds + 10 * Math.sin(p.turn + seconds * 5), p.y + p.dy * seconds);
      g.rotate(p.turn + p.spin * seconds);
      g.scale(1, Math.cos(p.turn + seconds * 7));
      g.fillStyle = p.color;
      g.fillRect(-4, -3, 8, 6);
      g.restore();
    }
    g.globalAlpha = 1;
  }
}
