// The tree of places and what each says about routes (docs/protocol.md, section 1.2): inheritance, and the way between a
// policy and the fields of a form.
import type { Place, Policy } from './api';

export const FIELDS = [
	'methods', 'relay', 'turnTransports', 'interfacesPrefer', 'interfacesExclude', 'subnetsPrefer', 'subnetsExclude',
	'udpPorts', 'dscp', 'deviceKbit', 'siteKbit',
] as const;
export type Field = (typeof FIELDS)[number];
export type Value = string | string[] | number;
/** One policy, key by key; what is missing is inherited. */
export type Fields = Partial<Record<Field, Value>>;
export type Mistake = 'methods' | 'turnTransports' | 'many' | 'pattern' | 'subnet' | 'ports' | 'dscp' | 'kbit' | 'nothing';

const LIST_MAX = 16;
const TEXT_MAX = 47;
const KBIT_MAX = 100_000_000;

export const DEFAULTS: Record<Field, Value> = {
	methods: ['local', 'punched', 'relayed'],
	relay: 'allowed',
	turnTransports: ['udp', 'tcp', 'tls', 'wss'],
	interfacesPrefer: [],
	interfacesExclude: [],
	subnetsPrefer: [],
	subnetsExclude: [],
	udpPorts: 'any',
	dscp: 0,
	deviceKbit: 0,
	siteKbit: 0,
};

export function toFields({ methods, relay, turnTransports, interfaces, subnets, udpPorts, dscp, deviceKbit, siteKbit }: Policy): Fields {
	const all: Record<Field, Value | undefined> = {
		methods, relay, turnTransports,
		interfacesPrefer: interfaces?.prefer, interfacesExclude: interfaces?.exclude,
		subnetsPrefer: subnets?.prefer, subnetsExclude: subnets?.exclude,
		udpPorts, dscp, deviceKbit, siteKbit,
	};
	return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Fields;
}

const pair = (prefer: Value | undefined, exclude: Value | undefined) =>
	prefer === undefined && exclude === undefined
		? undefined
		: { ...(prefer !== undefined && { prefer: prefer as string[] }), ...(exclude !== undefined && { exclude: exclude as string[] }) };

export function toPolicy(fields: Fields): Policy {
	const { interfacesPrefer, interfacesExclude, subnetsPrefer, subnetsExclude, ...plain } = fields;
	const interfaces = pair(interfacesPrefer, interfacesExclude);
	const subnets = pair(subnetsPrefer, subnetsExclude);
	return { ...(plain as Policy), ...(interfaces && { interfaces }), ...(subnets && { subnets }) };
}

/** The places above one, nearest first. */
export function above(places: ReadonlyMap<string, Place>, id: string): Place[] {
	const list: Place[] = [];
	let at = places.get(id)?.parent ?? null;
	while (at !== null && list.length < places.size) {
		const place = places.get(at);
		if (!place) break;
		list.push(place);
		at = place.parent;
	}
	return list;
}

/** What a field would be if the place did not set it, and who says so; null is the default. */
export function inherited(places: ReadonlyMap<string, Place>, id: string, field: Field): { value: Value; from: Place | null } {
	for (const place of above(places, id)) {
		const value = toFields(place.policy)[field];
		if (value !== undefined) return { value, from: place };
	}
	return { value: DEFAULTS[field], from: null };
}

/** Each place right after the one it stands in, those of one parent by name. */
export function inOrder(places: ReadonlyMap<string, Place>): { place: Place; depth: number }[] {
	const children = new Map<string | null, Place[]>();
	for (const place of places.values()) children.set(place.parent, [...(children.get(place.parent) ?? []), place]);
	const list: { place: Place; depth: number }[] = [];
	const walk = (parent: string | null, depth: number) => {
		for (const place of (children.get(parent) ?? []).sort((a, b) => a.name.localeCompare(b.name))) {
			list.push({ place, depth });
			if (depth < 32) walk(place.id, depth + 1);
		}
	};
	walk(null, 0);
	return list;
}

/** Which kinds may stand in which (the hub has the last word). */
export function kindsIn(parent: Place['kind']): Exclude<Place['kind'], 'hub'>[] {
	if (parent === 'hub') return ['site', 'group', 'organisation'];
	return parent === 'organisation' ? ['site', 'group'] : ['group'];
}

/** Lines or commas of a text box. */
export const listOf = (text: string): string[] => text.split(/[\s,;]+/).filter((item) => item !== '');

const v4 = (text: string): boolean => /^(\d{1,3}\.){3}\d{1,3}$/.test(text) && text.split('.').every((part) => Number(part) < 256);
const v6 = (text: string): boolean => {
	if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(':')) return false;
	try {
		return new URL(`ws://[${text}]/`).hostname.startsWith('[');
	} catch {
		return false;
	}
};

function isSubnet(text: string): boolean {
	const [address = '', bits = '', more] = text.split('/');
	if (more !== undefined || !/^\d{1,3}$/.test(bits)) return false;
	return (v4(address) && Number(bits) <= 32) || (v6(address) && Number(bits) <= 128);
}

function isRange(text: string): boolean {
	const [, low, high] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
	return low !== undefined && Number(low) > 0 && Number(low) <= Number(high) && Number(high) <= 65535;
}

function mistakeIn(field: Field, value: Value): Mistake | null {
	const whole = (most: number) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most;
	switch (field) {
		case 'methods':
		case 'turnTransports':
			return (value as string[]).length > 0 ? null : field;
		case 'relay':
			return null;
		case 'udpPorts':
			return value === 'any' || isRange(String(value)) ? null : 'ports';
		case 'dscp':
			return whole(63) ? null : 'dscp';
		case 'deviceKbit':
		case 'siteKbit':
			return whole(KBIT_MAX) ? null : 'kbit';
		default: {
			const list = value as string[];
			if (list.length > LIST_MAX) return 'many';
			const subnets = field === 'subnetsPrefer' || field === 'subnetsExclude';
			const fits = (item: string) => item.length <= TEXT_MAX && (subnets ? isSubnet(item) : /^[!-~]+$/.test(item) && !/[/[\\]/.test(item));
			return list.every(fits) ? null : subnets ? 'subnet' : 'pattern';
		}
	}
}

/** What is wrong, field by field. */
export function mistakes(fields: Fields): Partial<Record<Field, Mistake>> {
	const found: Partial<Record<Field, Mistake>> = {};
	for (const [field, value] of Object.entries(fields) as [Field, Value][]) {
		const mistake = mistakeIn(field, value);
		if (mistake) found[field] = mistake;
	}
	const { methods, relay } = fields;
	if (!found.methods && relay === 'forbidden' && Array.isArray(methods) && methods.every((method) => method === 'relayed')) found.relay = 'nothing';
	return found;
}
