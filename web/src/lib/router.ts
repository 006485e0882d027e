// Pages are addresses. A plain click on <Link> changes the address without loading the page again.
import { Store } from './store';

export type Page =
	| { page: 'sign-in' }
	| { page: 'devices' }
	| { page: 'device'; id: string }
	| { page: 'route'; id: string }
	| { page: 'network' }
	| { page: 'audit' }
	| { page: 'settings' }
	| { page: 'not-found' };

export interface Place {
	path: string;
	search: string;
}

const here = (): Place => ({ path: location.pathname, search: location.search });
export const place = new Store<Place>(typeof location === 'undefined' ? { path: '/', search: '' } : here());
if (typeof window !== 'undefined') window.addEventListener('popstate', () => place.set(here()));

export function pageOf(path: string): Page {
	const parts = path.split('/').filter(Boolean);
	if (parts.length === 0 || (parts.length === 1 && parts[0] === 'devices')) return { page: 'devices' };
	if (parts[0] === 'devices' && (parts.length === 2 || (parts.length === 3 && parts[2] === 'route'))) {
		try {
			return { page: parts.length === 2 ? 'device' : 'route', id: decodeURIComponent(parts[1]!) };
		} catch {
			return { page: 'not-found' };
		}
	}
	if (parts.length === 1 && (parts[0] === 'sign-in' || parts[0] === 'network' || parts[0] === 'audit' || parts[0] === 'settings')) return { page: parts[0] };
	return { page: 'not-found' };
}

const goers = new Set<(path: string) => void>();
/** Called as soon as another page is asked for, before it is drawn. */
export const onGo = (listener: (path: string) => void): void => void goers.add(listener);

export function navigate(to: string, how: 'push' | 'replace' = 'push'): void {
	const before = location.pathname;
	if (how === 'replace') history.replaceState(null, '', to);
	else if (to !== before + location.search) history.pushState(null, '', to);
	if (location.pathname === before) return place.set(here());
	for (const listener of goers) listener(location.pathname);
	// drawing a page takes some ten milliseconds; what the listeners began goes out first
	setTimeout(() => place.set(here()));
}

export const devicePath = (id: string): string => `/devices/${encodeURIComponent(id)}`;

/** The report of one session, or of the newest one. */
export const routePath = (device: string, session: string | null): string =>
	`${devicePath(device)}/route${session ? `?session=${encodeURIComponent(session)}` : ''}`;

/** Changes one parameter of the address (filters live there); an empty value removes it. */
export function setParameter(name: string, value: string): void {
	const parameters = new URLSearchParams(location.search);
	if (value) parameters.set(name, value);
	else parameters.delete(name);
	const search = parameters.toString();
	navigate(location.pathname + (search ? `?${search}` : ''), 'replace');
}
