// What the room shows around the glass: sign, clock, button, queue, result, shelf.

import { $, avatar, h, showAvatar } from './dom.js';
import { toyPicture, toys } from './toys.js';

const resultTime = 4000; // milliseconds a result stays
const roundTime = 25; // seconds to steer, for the clock's ring

const phases = {
  aim: '移动抓斗', drop: '下爪…', close: '抓…', lift: '起来…', carry: '送回出口…', open: '松爪…',
};

export class Room {
  constructor({ onWin }) {
    this.onWin = onWin;
    this.me = { n: 0, plays: false };
  }

  hello(me) {
    this.me = me;
    this.lastRound = undefined; // the last result was for those who saw it
  }

  lost(reason) {
    this.frame = undefined;
    $('status').textContent = reason === 'unverified' ? '登录后才能玩' : '正在重新连接…';
    this.button('开始', 'Start', false);
    $('cabinet').dataset.mine = false;
  }

  get playing() { return this.frame?.player?.n === this.me.n; }
  get aiming() { return this.playing && this.frame.phase === 'aim'; }
  get place() { return (this.frame?.queue.findIndex((p) => p.n === this.me.n) ?? -1) + 1; }

  show(frame) {
    this.frame = frame;
    const { player, queue, phase } = frame;
    const cabinet = $('cabinet');
    cabinet.dataset.phase = phase;
    cabinet.dataset.mine = this.aiming;

    const status = phases[phase] || (this.me.plays ? '按“开始”来一局' : '游客可以围观');
    $('status').textContent = player && !this.playing ? `${player.name} 正在玩` : status;
    $('clock-text').textContent = phase === 'aim' ? Math.ceil(frame.left) : '–';
    $('clock').style.setProperty('--left', frame.left / roundTime);

    if (this.aiming) this.button('抓!', 'Drop', true, true);
    else if (this.playing) this.button('…', 'Wait', false, true);
    else if (this.place) this.button(`第${this.place}位`, 'In line', false);
    else if (player || queue.length) this.button('排队', 'Line up', this.me.plays);
    else this.button('开始', 'Start', this.me.plays);

    this.showPeople(frame);
    this.showResult(frame.last);
  }

  button(text, sub, enabled, grab = false) {
    $('action').disabled = !enabled;
    $('action').classList.toggle('grab', grab);
    $('action-text').textContent = text;
    $('action-sub').textContent = sub;
  }

  showPeople({ player, queue, watching }) {
    $('now-name').textContent = player ? (this.playing ? `${player.name}（你）` : player.name) : '机器空着';
    $('now-sub').textContent = `${player ? '正在玩 playing' : '等人来玩 free'} · ${watching} 人在场`;
    showAvatar($('now-avatar'), player ? player.name : '空', player?.avatar);
    $('cheer').hidden = !player || this.playing || !this.me.plays;
    $('leave').hidden = !this.place;
    const key = JSON.stringify(queue);
    if (key === this.queueKey) return; // frames come ten times a second
    this.queueKey = key;
    $('queue').hidden = !queue.length;
    $('queue').replaceChildren(...queue.map((p) =>
      h('li', { class: p.n === this.me.n ? 'mine' : '' }, avatar(p.name, p.avatar, 'small'), h('span', {}, p.name))));
  }

  showResult(last) {
    if (this.lastRound === undefined || !last) {
      this.lastRound = last ? last.round : 0;
      return;
    }
    if (last.round === this.lastRound) return;
    this.lastRound = last.round;
    if (last.player !== this.me.n) return;
    const toy = toys[last.kind];
    const [title, note] = last.won ? [`抓到了${toy.zh}！`, `You got the ${toy.en}`]
      : last.near ? ['差一点！', `The ${toy.en} slipped`] : ['没抓到', 'Nothing this time'];
    $('result').dataset.won = last.won;
    $('result-title').textContent = title;
    $('result-note').textContent = note;
    $('result-toy').replaceChildren(...(last.kind ? [toyPicture(last.kind, 84)] : []));
    $('result').hidden = false;
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => { $('result').hidden = true; }, resultTime);
    this.onWin(last.won);
  }
}

export function showShelf({ rounds, prizes }) {
  $('shelf').replaceChildren(...(prizes.length
    ? prizes.map((prize) => toyPicture(prize.kind, 52)).reverse()
    : [h('p', {}, rounds ? `玩了 ${rounds} 局，还没抓到` : '还空着，去抓一个')]));
}
