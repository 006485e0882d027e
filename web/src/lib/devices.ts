// The device list, kept outside React. Changes arrive one by one and reach the page at most four times a second.
import type { Device } from './api';
import { account } from './account';
import { hub, HubError } from './hub';
import { Store } from './store';

const BATCH_MS = 250;

export interface DeviceList {
	state: 'loading' | 'live' | 'stale' | 'failed';
	/** ms since 1970 when the list was last known to be right */
	asOf: number;
	devices: ReadonlyMap<string, Device>;
}
export const deviceList = new Store<DeviceList>({ state: 'loading', asOf: 0, devices: new Map() });

let waiting: Map<string, Device> | null = null;
let timer: ReturnType<typeof setTimeout> | null = null;
const watchers = new Set<(device: Device, before: Device | undefined) => void>();
const goneWatchers = new Set<(id: string) => void>();

function later(): Map<string, Device> {
	waiting ??= new Map(deviceList.get().devices);
	timer ??= setTimeout(flush, BATCH_MS);
	return waiting;
}

function flush(): void {
	if (timer) clearTimeout(timer);
	timer = null;
	if (!waiting) return;
	const devices = waiting;
	waiting = null;
	deviceList.set({ ...deviceList.get(), asOf: Date.now(), devices });
}

/** The newest that is known, also what has not reached the page yet. */
export function deviceNow(id: string): Device | undefined {
	return (waiting ?? deviceList.get().devices).get(id);
}

/** Every change at once, for sessions. */
export function onDevice(watcher: (device: Device, before: Device | undefined) => void): () => void {
	watchers.add(watcher);
	return () => watchers.delete(watcher);
}
export function onDeviceGone(watcher: (id: string) => void): () => void {
	goneWatchers.add(watcher);
	return () => goneWatchers.delete(watcher);
}

export async function watch(): Promise<void> {
	try {
		const { devices } = await hub.invoke<{ devices: Device[] }>('WatchDevices', {});
		const before = deviceList.get().devices;
		waiting = null;
		deviceList.set({ state: 'live', asOf: Date.now(), devices: new Map(devices.map((d) => [d.id, d])) });
		for (const device of devices) for (const watcher of [...watchers]) watcher(device, before.get(device.id));
	} catch (error) {
		const now = deviceList.get();
		if (error instanceof HubError && error.code !== 'hub') deviceList.set({ ...now, state: now.asOf ? 'stale' : 'failed' });
	}
}

hub.live(() => void watch());
hub.link.subscribe(() => {
	const now = deviceList.get();
	const { state } = hub.link.get();
	if (state === 'lost' && now.state !== 'failed') {
		flush();
		deviceList.set({ ...deviceList.get(), state: now.asOf ? 'stale' : 'failed', asOf: now.asOf && Date.now() });
	}
});
hub.on('device', ({ device }) => {
	const before = deviceNow(device.id);
	later().set(device.id, device);
	for (const watcher of [...watchers]) watcher(device, before);
});
hub.on('deviceGone', ({ device }) => {
	later().delete(device);
	for (const watcher of [...goneWatchers]) watcher(device);
});
account.subscribe(() => {
	if (account.get().state === 'out') deviceList.set({ state: 'loading', asOf: 0, devices: new Map() });
});
