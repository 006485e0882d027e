// What this browser remembers for this person: theme, single-key shortcuts, height of the terminal.
import { Store } from './store';

export type Theme = 'system' | 'light' | 'dark';
export interface Prefs {
	theme: Theme;
	singleKeys: boolean;
	dock: boolean;
	dockHeight: number;
}
const KEY = 'fairlead.prefs';
const DEFAULTS: Prefs = { theme: 'system', singleKeys: true, dock: true, dockHeight: 246 };

function read(): Prefs {
	try {
		const stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Prefs>;
		return {
			theme: stored.theme === 'light' || stored.theme === 'dark' ? stored.theme : 'system',
			singleKeys: stored.singleKeys !== false,
			dock: stored.dock !== false,
			dockHeight: typeof stored.dockHeight === 'number' ? Math.min(900, Math.max(120, stored.dockHeight)) : DEFAULTS.dockHeight,
		};
	} catch {
		return DEFAULTS;
	}
}

export const prefs = new Store<Prefs>(typeof localStorage === 'undefined' ? DEFAULTS : read());

export function setPrefs(change: Partial<Prefs>): void {
	prefs.set({ ...prefs.get(), ...change });
	try {
		localStorage.setItem(KEY, JSON.stringify(prefs.get()));
	} catch {
		// storage is full or switched off: the choice lasts until the page is left
	}
	applyTheme();
}

export function applyTheme(): void {
	const { theme } = prefs.get();
	if (theme === 'system') delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme;
}

export function isDark(): boolean {
	const { theme } = prefs.get();
	return theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
}

export function toggleTheme(): void {
	setPrefs({ theme: isDark() ? 'light' : 'dark' });
}
