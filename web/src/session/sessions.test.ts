import { expect, it, vi } from 'vitest';

const gone = vi.hoisted(() => ({ tell: (_: string): void => {} }));
vi.mock('../lib/hub', () => ({ hub: { on: () => {}, live: () => {} }, HubError: Error }));
vi.mock('../lib/account', () => ({ account: { subscribe: () => {} }, onSignOut: () => {} }));
vi.mock('../lib/pages', () => ({ preloadDevicePage: () => {} }));
vi.mock('../lib/devices', () => ({
	deviceNow: () => undefined,
	onDevice: () => {},
	onDeviceGone: (handler: (id: string) => void) => void (gone.tell = handler),
}));

it('the key of a device stays known when the hub says that the device was removed', async () => {
	const stored = new Map<string, string>();
	vi.stubGlobal('localStorage', { getItem: (k: string) => stored.get(k) ?? null, setItem: (k: string, v: string) => stored.set(k, v) });
	const { pin } = await import('./signature');
	await import('./sessions');
	expect(pin('d1', 'A')).toBe(true);
	gone.tell('d1');
	expect(pin('d1', 'B')).toBe(false);
});
