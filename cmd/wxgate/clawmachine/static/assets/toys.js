// The plush toys, drawn with a few ellipses each. Origin: the middle of the seat;
// size: the toy's height.

export const toys = {
  bear: { zh: '小熊', en: 'bear', fur: '#c98d5b', light: '#f0d3ae', dark: '#9b6238', ears: 'round' },
  bunny: { zh: '兔兔', en: 'bunny', fur: '#f7b7c5', light: '#fff1f3', dark: '#dd8299', ears: 'long' },
  cat: { zh: '橘猫', en: 'cat', fur: '#f5a653', light: '#fff0da', dark: '#d27c27', ears: 'pointed' },
  penguin: { zh: '企鹅', en: 'penguin', fur: '#4f6d94', light: '#fbfdff', dark: '#33496b', ears: 'none' },
  frog: { zh: '青蛙', en: 'frog', fur: '#7cc47f', light: '#e6f6d8', dark: '#4c9656', ears: 'eyes' },
  panda: { zh: '熊猫', en: 'panda', fur: '#fbf8f4', light: '#ffffff', dark: '#45404a', ears: 'round' },
};

const ink = '#3b2636';

export function drawToy(g, kind, size, tilt = 0) {
  const toy = toys[kind] || toys.bear;
  const panda = kind === 'panda';
  const limbs = panda ? toy.dark : toy.fur;
  const oval = (x, y, rx, ry, color, turn = 0) => {
    g.beginPath();
    g.ellipse(x, y, rx, ry, turn, 0, 7);
    g.fillStyle = color;
    g.fill();
  };
  const both = (draw) => { draw(-1); draw(1); };

  g.save();
  g.scale(size, size);
  g.rotate(tilt);

  // Body, from back to front.
  both((s) => oval(s * 0.3, -0.3, 0.09, 0.17, limbs, s * -0.6));
  oval(0, -0.27, 0.29, 0.28, toy.fur);
  oval(0, -0.24, 0.18, 0.19, toy.light);
  both((s) => {
    oval(s * 0.2, -0.07, 0.14, 0.1, limbs, s * -0.25);
    oval(s * 0.215, -0.065, 0.07, 0.05, kind === 'penguin' ? '#f2a33c' : panda ? '#6d6672' : toy.light, s * -0.25);
  });

  // Ears lie behind the head.
  if (toy.ears === 'round') both((s) => {
    oval(s * 0.26, -0.88, 0.115, 0.115, panda ? toy.dark : toy.fur);
    oval(s * 0.26, -0.87, 0.06, 0.06, panda ? '#6d6672' : toy.light);
  });
  if (toy.ears === 'long') both((s) => {
    oval(s * 0.14, -1.02, 0.085, 0.24, toy.fur, s * 0.2);
    oval(s * 0.14, -1.01, 0.042, 0.17, toy.light, s * 0.2);
  });
  if (toy.ears === 'pointed') both((s) => {
    for (const [scale, color] of [[1, toy.fur], [0.55, toy.light]]) {
      g.beginPath();
      g.moveTo(s * (0.24 - 0.17 * scale), -0.85);
      g.lineTo(s * (0.24 + 0.05 * scale), -0.85 - 0.22 * scale);
      g.lineTo(s * (0.24 + 0.11 * scale), -0.76);
      g.fillStyle = color;
      g.fill();
    }
  });
  if (toy.ears === 'eyes') both((s) => {
    oval(s * 0.19, -0.9, 0.12, 0.12, toy.fur);
    oval(s * 0.19, -0.91, 0.075, 0.075, '#fff');
    oval(s * 0.19, -0.905, 0.042, 0.048, ink);
  });

  // Head, with light from above.
  const shine = g.createRadialGradient(-0.1, -0.8, 0.05, 0, -0.66, 0.42);
  shine.addColorStop(0, '#ffffff59');
  shine.addColorStop(0.6, '#ffffff00');
  shine.addColorStop(1, '#5a1e3a1f');
  oval(0, -0.66, 0.35, 0.28, toy.fur);
  if (kind === 'penguin') both((s) => oval(s * 0.11, -0.63, 0.17, 0.2, toy.light, s * -0.1));
  if (panda) both((s) => oval(s * 0.15, -0.67, 0.085, 0.105, toy.dark, s * 0.5));
  if (kind === 'cat') {
    g.strokeStyle = toy.dark;
    g.lineWidth = 0.03;
    g.lineCap = 'round';
    for (const x of [-0.08, 0, 0.08]) {
      g.beginPath();
      g.moveTo(x, -0.92 + Math.abs(x) * 0.2);
      g.lineTo(x, -0.84);
      g.stroke();
    }
  }
  if (toy.ears !== 'none' && kind !== 'frog') oval(0, -0.565, 0.14, 0.105, toy.light);
  oval(0, -0.66, 0.35, 0.28, shine);

  // Face.
  if (kind !== 'frog') both((s) => {
    oval(s * 0.15, -0.675, 0.038, 0.045, panda ? '#fff' : ink);
    oval(s * 0.15 - 0.012, -0.69, 0.013, 0.015, panda ? ink : '#fff');
  });
  both((s) => oval(s * 0.235, -0.585, 0.05, 0.032, '#ff7f8c66'));
  g.strokeStyle = ink;
  g.lineWidth = 0.02;
  g.lineCap = 'round';
  if (kind === 'penguin') {
    oval(0, -0.6, 0.075, 0.045, '#f2a33c');
  } else {
    const smile = kind === 'frog' ? 0.16 : 0.055;
    const height = kind === 'frog' ? -0.6 : -0.55;
    if (kind !== 'frog') oval(0, -0.605, 0.036, 0.025, kind === 'bunny' ? '#e2637f' : ink);
    g.beginPath();
    g.ellipse(0, height, smile, smile * 0.7, 0, 0.25, Math.PI - 0.25);
    g.stroke();
  }
  g.restore();
}

/** A toy as an element of its own, for the shelf and the result. */
export function toyPicture(kind, size) {
  const canvas = document.createElement('canvas');
  const scale = Math.min(3, devicePixelRatio || 1);
  canvas.width = canvas.height = size * scale;
  canvas.style.width = canvas.style.height = `${size}px`;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', (toys[kind] || toys.bear).zh);
  const g = canvas.getContext('2d');
  g.scale(scale, scale);
  g.translate(size / 2, size * 0.97);
  drawToy(g, kind, size * 0.76);
  return canvas;
}
