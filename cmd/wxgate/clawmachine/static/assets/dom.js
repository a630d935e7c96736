// Small helpers for building the page. Everything goes in as text, never as HTML:
// nicknames are written by strangers.

export const $ = (id) => document.getElementById(id);

/** h('p', {class: 'hint'}, 'text', node…) builds an element. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Fills an .avatar element: the picture, or the name's first character where there is none. */
export function showAvatar(element, name, url) {
  const initial = [...(name || '?')][0];
  if (element.dataset.shown === `${initial} ${url}`) return element;
  element.dataset.shown = `${initial} ${url}`;
  element.replaceChildren(initial);
  if (url) {
    const image = h('img', { alt: '', referrerpolicy: 'no-referrer' });
    image.onload = () => element.replaceChildren(image);
    image.src = url;
  }
  return element;
}

export const avatar = (name, url, size = '') => showAvatar(h('span', { class: `avatar ${size}` }), name, url);
