// Filtering and order of the device list: online first, then by name the way people count (LIB-2 before LIB-14).
import type { Device } from './api';

export type Show = 'all' | 'online' | 'offline';

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const fold = (text: string) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();

export function matches(device: Device, words: string[]): boolean {
	if (words.length === 0) return true;
	const { os, version, arch } = device.platform;
	const text = fold([device.name, device.user ?? '', device.address, os, version, arch, device.client].join('\n'));
	return words.every((word) => text.includes(word));
}

export const wordsOf = (filter: string): string[] => fold(filter).split(/\s+/).filter(Boolean);

export function arrange(devices: Iterable<Device>, filter: string, show: Show): Device[] {
	const words = wordsOf(filter);
	const out: Device[] = [];
	for (const device of devices)
		if ((show === 'all' || device.online === (show === 'online')) && matches(device, words)) out.push(device);
	return out.sort(
		(a, b) => Number(b.online) - Number(a.online) || collator.compare(a.name, b.name) || (a.id < b.id ? -1 : 1),
	);
}

/** Keeps the rows of `order` where they are (nothing moves under the pointer); new ones go to the end. */
export function keepOrder(rows: Device[], order: readonly string[]): Device[] {
	const left = new Map(rows.map((device) => [device.id, device]));
	const out: Device[] = [];
	for (const id of order) {
		const device = left.get(id);
		if (device) out.push(device);
		left.delete(id);
	}
	return [...out, ...left.values()];
}
