// Calls to the app and to the gateway in front of it.

export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body.message || `HTTP ${status}`);
    this.status = status;
    this.code = body.error || '';
    this.retryAfter = retryAfter;
  }
}

/** Fetches JSON. If the session has ended it leaves for the login and never returns. */
export async function api(path, { method = 'GET', body } = {}) {
  const response = await fetch(path, {
    method,
    headers: { Accept: 'application/json', ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const data = await response.json().catch(() => ({}));
  if (response.ok) return data;
  if (response.status === 401 && data.login_url && goToLogin(data.login_url)) {
    await new Promise(() => {});
  }
  throw new ApiError(response.status, data, Number(response.headers.get('Retry-After')) || 0);
}

/** Leaves for the login, which returns to this page. Not twice within seconds: if
    a login does not help, a page that keeps trying only hides the reason. */
function goToLogin(address) {
  const url = new URL(address, location.href);
  if (!/^https?:$/.test(url.protocol)) return false;
  const last = Number(sessionStorage.getItem('login-at'));
  if (Date.now() - last < 10_000) return false;
  sessionStorage.setItem('login-at', Date.now());
  url.searchParams.set('next', location.pathname + location.search);
  location.assign(url);
  return true;
}
