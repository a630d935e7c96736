// Gantry, cable and claw.

const hubHeight = 26; // of the claw's dome above its finger tips, in machine units

function box(g, x, y, width, height, radius, color) {
  g.beginPath();
  g.moveTo(x + radius, y);
  g.arcTo(x + width, y, x + width, y + height, radius);
  g.arcTo(x + width, y + height, x, y + height, radius);
  g.arcTo(x, y + height, x, y, radius);
  g.arcTo(x, y, x + width, y, radius);
  g.fillStyle = color;
  g.fill();
}

/** drawHeld, if given, draws the toy between the hind and the front fingers, in the
    claw's own turned coordinates. */
export function drawClaw(g, project, claw, drawHeld) {
  const rail = 144;
  const line = (from, to, width, color) => {
    g.beginPath();
    g.moveTo(from.x, from.y);
    g.lineTo(to.x, to.y);
    g.lineWidth = width;
    g.strokeStyle = color;
    g.lineCap = 'round';
    g.stroke();
  };

  // Two rails along the depth, a beam across them, the trolley on the beam.
  for (const x of [-4, 104]) line(project(x, -20, rail), project(x, 104, rail), 5, '#5a7f86');
  const left = project(-4, claw.y, rail);
  const right = project(104, claw.y, rail);
  line(left, right, 9 * left.scale, '#3e5c66');
  line({ ...left, y: left.y - 2 }, { ...right, y: right.y - 2 }, 2.5 * left.scale, '#86aeb5');
  const trolley = project(claw.x, claw.y, rail);
  const u = trolley.scale;
  box(g, trolley.x - 21 * u, trolley.y - 9 * u, 42 * u, 20 * u, 6 * u, '#f25f5c');
  box(g, trolley.x - 21 * u, trolley.y - 9 * u, 42 * u, 7 * u, 3 * u, '#ffffff4d');

  // The cable ends above the dome, displaced by the swing.
  const rest = project(claw.x, claw.y, claw.z + hubHeight);
  const length = rest.y - trolley.y;
  const hub = { x: trolley.x - Math.sin(claw.angle) * length, y: trolley.y + Math.cos(claw.angle) * length };
  line({ x: trolley.x, y: trolley.y + 10 * u }, hub, 3 * u, '#4d5a66');

  g.save();
  g.translate(hub.x, hub.y);
  g.rotate(claw.angle);
  g.scale(u, u);
  // Open fingers reach out, shut ones meet below the toy's middle.
  const reach = 34 - 19 * claw.grip;
  const finger = (side, color) => {
    g.beginPath();
    g.moveTo(side * 9, 6);
    g.quadraticCurveTo(side * (reach + 9), 14, side * (reach + 2), 36);
    g.quadraticCurveTo(side * reach, 44, side * (reach - 11), 49);
    g.lineWidth = 6.5;
    g.lineCap = g.lineJoin = 'round';
    g.strokeStyle = color;
    g.stroke();
  };
  finger(-0.35, '#8d97a3');
  if (drawHeld) drawHeld(rest);
  finger(-1, '#b9c3cd');
  finger(1, '#b9c3cd');
  const dome = g.createLinearGradient(-18, 0, 18, 0);
  dome.addColorStop(0, '#9aa5b1');
  dome.addColorStop(0.35, '#f4f7fa');
  dome.addColorStop(1, '#8a95a2');
  g.beginPath();
  g.moveTo(-18, 9);
  g.bezierCurveTo(-18, -14, 18, -14, 18, 9);
  g.closePath();
  g.fillStyle = dome;
  g.fill();
  box(g, -20, 6, 40, 7, 3.5, '#f25f5c');
  g.restore();
}
