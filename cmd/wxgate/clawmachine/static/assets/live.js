// The live ticker, from server-sent events.

import { api } from './api.js';
import { $, avatar, h } from './dom.js';
import { toys } from './toys.js';

const shown = 30;

const texts = {
  started: (e) => `${e.name} 开始了一局`,
  won: (e) => `${e.name} 抓到了${toys[e.prize]?.zh ?? '娃娃'}！`,
  missed: (e) => `${e.name} 差一点`,
  cheered: (e) => `${e.name} 给 ${e.for} 加油`,
};

export function live() {
  const list = $('live');
  list.replaceChildren(h('li', { class: 'empty' }, '还没有人玩过，来当第一个'));
  const source = new EventSource('/events');
  let newest = 0;
  source.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.id <= newest) return;
    newest = event.id;
    list.querySelector('.empty')?.remove();
    list.prepend(h('li', { class: event.kind },
      avatar(event.name, event.avatar),
      h('span', {}, (texts[event.kind] ?? (() => event.kind))(event)),
      h('time', {}, new Date(event.time).toLocaleTimeString('zh-CN', { hour: '2-digit', minute: '2-digit' }))));
    while (list.children.length > shown) list.lastChild.remove();
  };
  source.onerror = () => {
    // The browser connects again by itself, except after an answer that is no stream.
    if (source.readyState !== EventSource.CLOSED) return;
    api('/api/shelf').catch(() => {}).then(() => setTimeout(live, 3000));
  };
}
