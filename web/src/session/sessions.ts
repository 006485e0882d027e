// The sessions of this console. They go on while other pages are shown; each event of the hub finds its session here.
import { account, onSignOut } from '../lib/account';
import type { Device } from '../lib/api';
import { deviceNow, onDevice, onDeviceGone } from '../lib/devices';
import { hub } from '../lib/hub';
import { preloadDevicePage, whenIdle } from '../lib/pages';
import { onPlaces } from '../lib/place-list';
import { onGo, pageOf, place } from '../lib/router';
import { Store } from '../lib/store';
import { early, PeerSession } from './peer';
import { forgetIceServers, warmUp } from './prepare';
import { deviceKey } from './signature';

const AHEAD_MS = 500;

export const sessions = new Store<readonly PeerSession[]>([]);

export function sessionOf(device: string): PeerSession | undefined {
	return sessions.get().find((session) => session.device === device);
}

/** The session with this device; it is begun when there is none. */
export function openSession(device: string): PeerSession {
	const known = sessionOf(device);
	if (known) return known;
	const session = new PeerSession(device);
	sessions.set([...sessions.get(), session]);
	session.state.subscribe(() => sessions.set([...sessions.get()]));
	void session.connect();
	return session;
}

/** Its page is left: a running session goes on, one that is over or only waits for its device is forgotten. */
export function leave(session: PeerSession): void {
	if (session.running && session.state.get().phase !== 'waiting') return;
	session.end();
	session.screen.dispose();
	sessions.set(sessions.get().filter((other) => other !== session));
}

/** Ends every session; the one whose page is shown stays there, to be begun again. */
export function endAll(): void {
	const page = pageOf(place.get().path);
	const shown = page.page === 'device' ? page.id : null;
	for (const session of sessions.get()) {
		session.end();
		if (session.device !== shown) session.screen.dispose();
	}
	sessions.set(sessions.get().filter((session) => session.device === shown));
}

/** The pointer or the focus is on this device, so it may be asked for next. */
export function warm(device: Device): void {
	preloadDevicePage();
	deviceKey(device.key).catch(() => {});
	if (device.online && device.modules.includes('screen') && !sessionOf(device.id)) void warmUp(device.id);
}

/** The list is shown: one of its devices will be asked for, and a quick click comes before pointing has helped. */
export function warmAhead(devices: Iterable<Device>): void {
	for (const device of devices)
		if (device.online && device.modules.includes('screen')) return whenIdle(() => warm(device), AHEAD_MS);
}

function find(id: string, then: (session: PeerSession) => void): void {
	const session = sessions.get().find((s) => s.state.get().session === id);
	if (session) then(session);
	else early.keep(id, then);
}

hub.on('answer', (event) => find(event.session, (session) => void session.answer(event)));
hub.on('trickle', (event) => find(event.session, (session) => session.trickle(event)));
hub.on('refused', (event) => find(event.session, (session) => session.refused(event.code, event.message)));
hub.on('ended', (event) => find(event.session, (session) => session.ended(event.by, event.reason)));
hub.on('verdict', ({ session, verdict }) => {
	// also of one that just failed: then it says why
	for (const one of sessions.get()) if (one.state.get().told === session) one.judged(verdict);
});
hub.live(() => {
	for (const session of sessions.get()) void session.resume();
});
onDevice((device, before) => {
	if (device.online) sessionOf(device.id)?.nudge(before?.online === false);
});
onDeviceGone((id) => sessionOf(id)?.forgotten());
// begun with the click, not when the page has been drawn
onGo((path) => {
	const page = pageOf(path);
	if (page.page === 'device' && deviceNow(page.id)) openSession(page.id);
});
onSignOut(endAll);
// another policy may hold now
onPlaces(forgetIceServers);
account.subscribe(() => {
	if (account.get().state === 'out' && sessions.get().length > 0) endAll();
});
if (typeof window !== 'undefined') {
	window.addEventListener('pagehide', () => {
		for (const session of sessions.get()) session.end();
	});
	// this computer has another network than before: what was found in the old one may be gone, or not the best any more
	const moved = () => {
		for (const session of sessions.get()) session.moved();
	};
	window.addEventListener('online', moved);
	(navigator as { connection?: EventTarget }).connection?.addEventListener?.('change', moved);
}
