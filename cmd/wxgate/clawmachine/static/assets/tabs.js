// The tabs' contents. Each takes everything known so far and returns elements.

import { avatar, h } from './dom.js';

const reasons = {
  missing: '请求里没有断言（没有经过 wxgate？）',
  several: '请求里有不止一个断言',
  keys_unavailable: '拿不到网关的公钥',
  unknown_key: '签名的密钥不是网关公布的',
  malformed: '断言格式不对',
  bad_signature: '签名不对',
  expired: '断言已过期',
  not_yet_valid: '断言尚未生效',
  wrong_issuer: '签发者不对',
  wrong_audience: '不是签给这个应用的',
  incomplete: '断言不完整',
};
export const reasonText = (reason) => reasons[reason] || '断言无法验证';

const channels = { mp: '公众号网页', web: '网站扫码', mobile: '移动应用', mini: '小程序', component: '第三方平台' };

export const hint = (...text) => h('p', { class: 'hint' }, ...text);
export const badge = (kind, text, sub) => h('span', { class: `badge ${kind}` }, text, sub && h('small', {}, sub));

/** A definition list of [label, English, value]; rows without a value are left out. */
export function rows(...list) {
  return h('dl', { class: 'rows' }, list.filter(([, , value]) => value != null && value !== '').map(([zh, en, value]) => [
    h('dt', {}, zh, h('small', {}, en)), h('dd', {}, value),
  ]));
}
const mono = (text) => text && h('span', { class: 'mono' }, text);
export const clock = (time) => time && new Date(time).toLocaleString('zh-CN', { hour12: false });

/** What to show while an answer is missing, or in place of one that is an error. */
export function waiting(answer, what) {
  if (!answer) return [hint('正在询问…')];
  const { status, message } = answer.error;
  if (status === 404) return [badge('wait', '没有网关', 'no gateway'), hint(`这个地址由 wxgate 提供，应用自己没有。${what}`)];
  if (status === 503) return [badge('wait', '还没准备好', 'not ready yet'), hint('稍后会自动再试。')];
  return [badge('bad', '没有得到回答', `${status || ''} ${message}`)];
}

export function verdict(who) {
  return who.verified
    ? badge('', '✓ 已验证', 'verified')
    : badge('bad', '✕ 未验证', reasonText(who.reason));
}

export function identityTab({ whoami: who }) {
  if (!who || who.error) return waiting(who, '');
  const claims = who.assertion?.claims ?? {};
  const { wechat = {}, yunxin = {} } = claims;
  if (!who.verified) {
    return [
      h('div', { class: 'badges' }, verdict(who)),
      hint(who.detail),
      hint('应用只相信验证过签名的断言；没有它，请求头里写什么都不算。 Headers alone prove nothing.'),
    ];
  }
  const { player } = who;
  return [
    h('div', { class: 'person' }, avatar(player.name, player.avatar, 'large'),
      h('div', {}, h('b', {}, player.name),
        h('small', {}, player.visitor ? '快照页游客 snapshot visitor' : player.named ? '微信昵称 WeChat nickname' : '默认名字，还没授权昵称 default name'))),
    h('div', { class: 'badges' }, verdict(who), wechat.channel && badge('wait', channels[wechat.channel] ?? wechat.channel, wechat.channel)),
    rows(
      ['用户', 'User id', mono(player.visitor ? '' : player.id)],
      ['OpenID', wechat.appid, mono(wechat.openid)],
      ['UnionID', 'across apps', mono(wechat.unionid)],
      ['授权范围', 'Scope', mono(wechat.scope)],
      ['云信账号', 'Yunxin accid', mono(yunxin.accid)],
      ['登录于', 'Logged in at', clock(claims.auth_time * 1000 || null)],
      ['合并自', 'Merged from', mono(claims.merged_from?.join(' '))],
    ),
  ];
}

export function headersTab({ whoami: who }) {
  if (!who || who.error) return waiting(who, '');
  const group = (name, zh, en) => {
    const list = who.headers.filter((header) => header.group === name);
    return list.length > 0 && [
      h('p', { class: 'group' }, zh, ' ', h('small', {}, en)),
      h('dl', { class: 'rows wide' }, list.map((header) => [
        h('dt', {}, header.name),
        h('dd', { class: 'mono' }, h('span', { class: 'clip' }, header.value), decoded(header)),
      ])),
    ];
  };
  return [
    hint('应用收到的请求头。浏览器自己写的 X-Wxgate-* 到不了这里；就算到了，这个应用也只认断言。'),
    group('identity', '身份', 'identity, set by the gateway'),
    group('client', '来自哪里', 'where the request came from'),
    group('request', '这次请求', 'this request'),
    h('p', { class: 'group' }, 'Cookie ', h('small', {}, 'names only; those of the gateway never arrive')),
    h('p', { class: 'mono' }, who.cookies.join('  ') || '（没有 none）'),
  ].flat();
}

function decoded({ name, value }) {
  if (name !== 'X-Wxgate-Name') return null;
  try {
    return h('span', { class: 'dim' }, `= ${decodeURIComponent(value)}`);
  } catch {
    return null; // not ours, or broken: shown as it came
  }
}

const shorten = (token) => (token?.length > 14 ? `${token.slice(0, 6)}…${token.slice(-4)}` : token);

export function yunxinTab({ yunxin: account, proof }) {
  if (!account || account.error) return waiting(account, '没有配置云信时也是这样。');
  const { answer } = proof;
  return [
    proof.wanted && h('div', { class: 'badges' }, !answer ? badge('wait', '正在试登录…')
      : answer.ok ? badge('', '✓ 令牌可以登录云信', 'token accepted')
      : badge('bad', '✕ 令牌登不上', answer.error ? answer.error.message : `code ${answer.code}`)),
    rows(
      ['账号', 'account', mono(account.account)],
      ['令牌', 'token', mono(shorten(account.token))],
      ['类型', 'authType', account.authType === 1 ? '1 · 动态 dynamic' : '0 · 静态 static'],
      ['到期', 'expiresAt', clock(account.expiresAt)],
      ['昵称', 'nick', account.nick],
      ['AppKey', 'appKey', mono(account.appKey)],
    ),
    hint('页面把这些交给 NIM SDK：NIM.getInstance({appKey, account, token})。只有本人的会话拿得到。'),
  ];
}

export function sessionTab({ session }) {
  if (!session || session.error) return waiting(session, '');
  return [
    rows(
      ['用户', 'user', mono(session.user)],
      ['名字', 'name', session.name],
      ['渠道', 'channel', session.channel && `${channels[session.channel] ?? ''} ${session.channel}`],
      ['公众号', 'appid', mono(session.appid)],
      ['OpenID', 'openid', mono(session.openid)],
      ['UnionID', 'unionid', mono(session.unionid)],
      ['已授权资料', 'profile', session.profile ? '是 yes' : '还没有 not yet'],
      ['快照页', 'snapshot', session.snapshot ? '是 yes' : ''],
      ['云信账号', 'yunxin_accid', mono(session.yunxin_accid)],
      ['开始', 'created_at', clock(session.session?.created_at)],
      ['最迟结束', 'expires_at', clock(session.session?.expires_at)],
    ),
    hint('页面自己也能问网关：GET /.wxgate/me。'),
  ];
}
