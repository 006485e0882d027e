// Filtering and order of the device list: online first, then by name the way people count (LIB-2 before LIB-14).
import type { Device } from './api';

export type Show = 'all' | 'online' | 'offline';

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
const fold = (text: string) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();

// A device object is replaced when anything about it changes, so what was worked out for it stays true.
const texts = new WeakMap<Device, string>();
function textOf(device: Device): string {
	let text = texts.get(device);
	if (text === undefined) {
		const { os, version, arch } = device.platform;
		text = fold([device.name, device.user ?? '', device.address, os, version, arch, device.client].join('\n'));
		texts.set(device, text);
	}
	return text;
}

// Comparing names by language is slow, so the place of every name is worked out once, again only when a new one comes.
let places = new Map<string, number>();
function placesOf(devices: readonly Device[]): Map<string, number> {
	if (devices.some((device) => !places.has(device.name))) {
		const names = [...new Set(devices.map((device) => device.name))].sort(collator.compare);
		places = new Map(names.map((name, place) => [name, place]));
	}
	return places;
}

export const matches = (device: Device, words: string[]): boolean => words.every((word) => textOf(device).includes(word));

export const wordsOf = (filter: string): string[] => fold(filter).split(/\s+/).filter(Boolean);

export function arrange(devices: Iterable<Device>, filter: string, show: Show): Device[] {
	const all = [...devices];
	const order = placesOf(all);
	const words = wordsOf(filter);
	return all
		.filter((device) => (show === 'all' || device.online === (show === 'online')) && matches(device, words))
		.sort(
			(a, b) =>
				Number(b.online) - Number(a.online) || order.get(a.name)! - order.get(b.name)! || (a.id < b.id ? -1 : 1),
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
