// What is loaded on use. The page of a device is fetched as soon as somebody points at one, and the terminal after it, in
// idle moments: neither may cost time between the click and the first picture.
export const loadDevicePage = () => import('../pages/device');
export const loadTerminal = () => import('../parts/terminal-view');

/** In an idle moment, at the latest after the given time. */
export function whenIdle(what: () => void, latest: number): void {
	if (typeof requestIdleCallback === 'function') requestIdleCallback(what, { timeout: latest });
	else setTimeout(what, Math.min(latest, 50));
}

export function preloadDevicePage(): void {
	loadDevicePage().then(
		() => whenIdle(() => void loadTerminal().catch(() => {}), 2_000),
		() => {},
	);
}
