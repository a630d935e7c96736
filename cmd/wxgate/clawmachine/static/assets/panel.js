// "Who the app thinks you are": the header's name, five tabs, and their data.

import { ApiError, api } from './api.js';
import { assertionTab } from './assertion.js';
import { $, h, showAvatar } from './dom.js';
import { headersTab, identityTab, reasonText, sessionTab, yunxinTab } from './tabs.js';

const renderers = {
  identity: identityTab, assertion: assertionTab, headers: headersTab, yunxin: yunxinTab, session: sessionTab,
};

export function panel() {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const data = { proof: { wanted: $('who').dataset.yunxinProof === 'true' } };
  let chosen = 'identity';

  function show() {
    $('pane').replaceChildren(...renderers[chosen](data).filter(Boolean));
  }
  function choose(tab) {
    chosen = tab.id.replace('tab-', '');
    for (const t of tabs) {
      t.setAttribute('aria-selected', t === tab);
      t.tabIndex = t === tab ? 0 : -1;
    }
    $('pane').setAttribute('aria-labelledby', tab.id);
    show();
  }
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => choose(tab));
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const other = tabs[(i + step + tabs.length) % tabs.length];
      event.stopPropagation();
      other.focus();
      choose(other);
    });
  }

  /** Keeps the answer, or the error, under its name and shows it. */
  async function load(name, path) {
    try {
      data[name] = await api(path);
    } catch (error) {
      data[name] = { error: error instanceof ApiError ? error : new ApiError(0, { message: String(error) }) };
    }
    show();
    return data[name];
  }

  async function whoami() {
    const who = await load('whoami', '/api/whoami');
    if (who.player) {
      $('me').hidden = false;
      $('me-name').textContent = who.player.name;
      $('me-tick').hidden = who.player.visitor;
      showAvatar($('me-avatar'), who.player.name, who.player.avatar);
    }
    const text = who.error ? '' : who.player?.visitor
      ? '微信快照页：可以围观，不能玩。点右下角“使用完整服务”后再来。'
      : who.verified ? '' : `没有可信的身份：${reasonText(who.reason)}。这台机器只给登录了的人玩。`;
    $('notice').textContent = text;
    $('notice').hidden = !text;
  }

  /** The account may still be on its way: the gateway then says when to ask again. */
  async function yunxin(tries = 5) {
    const account = await load('yunxin', '/.wxgate/yunxin');
    if (account.error) {
      if (account.error.status === 503 && tries > 0) {
        setTimeout(() => yunxin(tries - 1), 1000 * Math.max(1, account.error.retryAfter));
      }
      return;
    }
    if (!data.proof.wanted) return;
    const { appKey, account: accid, token, authType } = account;
    data.proof.answer = await api('/api/yunxin-login', { method: 'POST', body: { appKey, account: accid, token, authType } })
      .catch((error) => ({ ok: false, error }));
    show();
  }

  function ask() {
    whoami();
    load('session', '/.wxgate/me');
    yunxin();
  }
  $('again').addEventListener('click', ask);
  $('pane').replaceChildren(h('p', { class: 'hint' }, '正在询问…'));
  ask();
}
