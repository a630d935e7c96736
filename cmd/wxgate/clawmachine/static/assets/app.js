// Wires the page: one game, one room, one ticker, one panel.

import { api } from './api.js';
import { controls } from './controls.js';
import { $ } from './dom.js';
import { connect } from './game.js';
import { live } from './live.js';
import { panel } from './panel.js';
import { Room, showShelf } from './room.js';
import { Scene } from './scene.js';

const loadShelf = () => api('/api/shelf').then(showShelf, () => showShelf({ rounds: 0, prizes: [] }));

const scene = new Scene($('scene'));
const room = new Room({
  onWin(won) {
    loadShelf();
    if (won) scene.celebrate();
  },
});

const game = connect({
  onHello: (me) => room.hello(me),
  onFrame(frame) {
    if (!room.playing && frame.player?.n === room.me.n) stick.release();
    room.show(frame);
    scene.show(frame);
  },
  onLost: (reason) => room.lost(reason),
});

const stick = controls({
  isPlaying: () => room.playing,
  onMove: (x, y) => game.send({ type: 'move', x, y }),
  onAction() {
    if ($('action').disabled) return;
    if (room.aiming) navigator.vibrate?.(25);
    game.send({ type: room.aiming ? 'drop' : 'start' });
  },
});

$('cheer').addEventListener('click', () => api('/api/cheer', { method: 'POST' }).catch(() => {}));
$('leave').addEventListener('click', () => game.send({ type: 'leave' }));
$('switch')?.addEventListener('change', () => $('switch').submit());

loadShelf();
live();
panel();
