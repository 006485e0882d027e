// Shortcuts of the whole page. Single keys act only where no text is being typed, never inside a remote screen or a
// terminal (both carry data-keys="theirs"), and can be switched off.
import { open, overlay } from './overlay';
import { prefs } from './prefs';
import { devicePath, navigate, pageOf, place } from './router';
import { account } from './account';

const GO_MS = 1_500;
let going = 0;

const theirs = (target: EventTarget | null): boolean => target instanceof Element && !!target.closest('[data-keys="theirs"]');
const typing = (target: EventTarget | null): boolean =>
	target instanceof Element && !!target.closest('input, textarea, select, [contenteditable="true"]');

/** One layer up from this page. */
function back(): string | null {
	const page = pageOf(place.get().path);
	return page.page === 'device' ? '/devices' : page.page === 'route' ? devicePath(page.id) : null;
}

export function onKey(event: KeyboardEvent): void {
	if (event.defaultPrevented || event.isComposing || account.get().state !== 'in' || theirs(event.target)) return;
	const key = event.key.toLowerCase();
	if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && key === 'k') {
		event.preventDefault();
		open('palette');
		return;
	}
	if (!prefs.get().singleKeys || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || overlay.get()) return;
	if (event.timeStamp < going) {
		going = 0;
		const to = { d: '/devices', n: '/network', l: '/audit', s: '/settings' }[key];
		if (to) {
			event.preventDefault();
			navigate(to);
		}
		return;
	}
	if (event.key === '?') open('shortcuts');
	else if (key === 'g') going = event.timeStamp + GO_MS;
	else if (event.key === '/') document.querySelector<HTMLElement>('[data-filter]')?.focus();
	else if (event.key === 'Escape' && back()) navigate(back()!);
	else if (event.key === 'ArrowDown' && document.activeElement === document.body) document.querySelector<HTMLElement>('[data-row] a')?.focus();
	else return;
	if (event.key !== 'Escape') event.preventDefault();
}
