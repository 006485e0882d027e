// Who is signed in. A one-time link carries its code in the fragment, which never reaches a server or its log; it is
// taken out of the address before anything else happens.
import { api, ApiError, type User } from './api';
import { hub } from './hub';
import { navigate, place } from './router';
import { Store } from './store';

export interface Account {
	state: 'unknown' | 'out' | 'in' | 'unreachable';
	user: User | null;
	/** signed in by a one-time link during this visit */
	byLink: boolean;
	/** why the sign-in page is shown: code of a problem with the link, or "ended" */
	problem: string | null;
}
export const account = new Store<Account>({ state: 'unknown', user: null, byLink: false, problem: null });

function signedIn(user: User, byLink = false): void {
	account.set({ state: 'in', user, byLink, problem: null });
	hub.start();
	if (place.get().path === '/sign-in') {
		const next = new URLSearchParams(place.get().search).get('next');
		navigate(next && /^\/(?![/\\])/.test(next) ? next : '/devices', 'replace');
	}
}

export function takeCode(): string | null {
	const code = new URLSearchParams(location.hash.slice(1)).get('code');
	if (location.hash) history.replaceState(null, '', location.pathname + location.search);
	return location.pathname === '/sign-in' ? code : null;
}

export async function begin(code: string | null): Promise<void> {
	if (code) {
		try {
			signedIn((await api.link(code)).user, true);
		} catch (error) {
			account.set({ state: 'out', user: null, byLink: false, problem: problemOf(error, 'link') });
		}
		return;
	}
	try {
		signedIn((await api.me()).user);
	} catch (error) {
		const out = error instanceof ApiError && error.status === 401;
		account.set({ state: out ? 'out' : 'unreachable', user: null, byLink: false, problem: null });
	}
}

/** "wrong", "link-spent", "link-unknown", "too-many" or "unreachable". */
export function problemOf(error: unknown, how: 'link' | 'password'): string {
	if (!(error instanceof ApiError) || error.status === 0 || error.status >= 500) return 'unreachable';
	if (error.status === 429) return 'too-many';
	if (how === 'link') return error.code === 'spent-link' || error.code === 'expired-link' ? 'link-spent' : 'link-unknown';
	return 'wrong';
}

export async function signIn(name: string, password: string): Promise<void> {
	signedIn((await api.signIn(name, password)).user);
}

export async function setPassword(password: string): Promise<void> {
	await api.password(password);
	const now = account.get();
	if (now.user) account.set({ ...now, user: { ...now.user, hasPassword: true } });
}

const leaving = new Set<() => void>();
/** Called before the account is signed out, while the hub can still be told. */
export const onSignOut = (handler: () => void): void => void leaving.add(handler);

function out(problem: string | null): void {
	for (const handler of leaving) handler();
	account.set({ state: 'out', user: null, byLink: false, problem });
	void hub.stop();
}

export async function signOut(): Promise<void> {
	for (const handler of leaving) handler();
	await api.signOut().catch(() => {});
	out(null);
	navigate('/sign-in', 'replace');
}

hub.on('signedOut', () => out('ended'));
