// The assertion: verdict, decoded parts, and how little it takes to check one.

import { h } from './dom.js';
import { clock, hint, rows, verdict, waiting } from './tabs.js';

export function assertionTab({ whoami: who }) {
  if (!who || who.error) return waiting(who, '');
  const { assertion, checked } = who;
  if (!assertion) return [h('div', { class: 'badges' }, verdict(who)), hint(who.detail), idea(checked)];
  const { header, claims } = assertion;
  return [
    h('div', { class: 'badges' }, verdict(who)),
    !who.verified && hint(who.detail),
    rows(
      ['签名', 'alg · kid', header && h('span', { class: 'mono' }, `${header.alg} · ${header.kid}`)],
      ['签发者', 'iss', claims?.iss],
      ['签给', 'aud', [claims?.aud].flat().join(' ')],
      ['有效期', 'iat – exp', claims && `${clock(claims.iat * 1000)} 起，共 ${Math.round((claims.exp - claims.iat) / 60)} 分钟`],
      ['会话', 'sid', claims && h('span', { class: 'mono' }, claims.sid ?? '')],
    ),
    claims && json(claims),
    h('details', {}, h('summary', {}, '原文 ', h('small', {}, 'as it came in X-Wxgate-Assertion')),
      h('div', { class: 'code jwt' }, assertion.raw.split('.').map((part, i) => h('span', {}, i ? `.${part}` : part)))),
    idea(checked),
  ];
}

/** JSON with a little colour. */
function json(value) {
  const text = JSON.stringify(value, null, 2);
  const parts = [];
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*|true|false|null/g;
  let end = 0;
  for (const match of text.matchAll(token)) {
    parts.push(text.slice(end, match.index));
    const [whole, string, colon] = match;
    if (string) parts.push(h('span', { class: colon ? 'key' : 'text' }, string), colon ?? '');
    else parts.push(h('span', { class: 'number' }, whole));
    end = match.index + whole.length;
  }
  return h('pre', { class: 'code' }, parts, text.slice(end));
}

function idea({ jwks, issuer, audience }) {
  const code = `import { createRemoteJWKSet, jwtVerify } from 'jose'

const keys = createRemoteJWKSet(new URL(
  '${jwks}'))

const { payload } = await jwtVerify(
  request.headers['x-wxgate-assertion'], keys, {
    issuer: '${issuer}',
    audience: '${audience}',
    algorithms: ['ES256', 'EdDSA', 'RS256'],
    requiredClaims: ['exp', 'sub'],
  })
const user = payload.sub`;
  return h('details', { open: true },
    h('summary', {}, '十行就够 ', h('small', {}, 'the same check in your app, here with jose for Node')),
    h('pre', { class: 'code' }, code));
}
