// The stick: four buttons to hold, arrow keys or WASD; one action button, space or enter.

import { $ } from './dom.js';

const keys = {
  ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'back', ArrowDown: 'front',
  KeyA: 'left', KeyD: 'right', KeyW: 'back', KeyS: 'front',
};

/** onMove(x, y) is called when the direction changes, onAction() when the button is pressed.
    isPlaying() says whether keys belong to the game or to the page. */
export function controls({ onMove, onAction, isPlaying }) {
  const held = new Set();
  let last = '0,0';

  function changed() {
    for (const button of $('pad').children) button.classList.toggle('held', held.has(button.dataset.dir));
    const x = held.has('right') - held.has('left');
    const y = held.has('back') - held.has('front');
    if (last === `${x},${y}`) return;
    last = `${x},${y}`;
    onMove(x, y);
  }
  function release() {
    held.clear();
    changed();
  }

  for (const button of $('pad').children) {
    const { dir } = button.dataset;
    button.addEventListener('pointerdown', (event) => {
      button.setPointerCapture(event.pointerId);
      held.add(dir);
      changed();
    });
    // Losing the capture covers lifting, leaving and the system taking the touch away.
    button.addEventListener('lostpointercapture', () => {
      held.delete(dir);
      changed();
    });
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  $('action').addEventListener('click', onAction);

  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('select, input, textarea')) return;
    const dir = keys[event.code];
    if (dir && isPlaying()) {
      event.preventDefault();
      held.add(dir);
      changed();
    } else if ((event.code === 'Space' || event.code === 'Enter') && !event.repeat && !event.target.closest('button, a, summary')) {
      event.preventDefault();
      onAction();
    }
  });
  addEventListener('keyup', (event) => {
    if (held.delete(keys[event.code])) changed();
  });
  addEventListener('blur', release);
  return { release };
}
