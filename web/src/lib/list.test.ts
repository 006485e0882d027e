import { expect, it } from 'vitest';
import type { Device } from './api';
import { arrange, keepOrder } from './list';

const device = (id: string, name: string, online: boolean, user: string | null = null): Device => ({
	id, name, online, user, lastSeen: 0, client: '0.1.0', address: '10.0.0.1', key: '', modules: [], display: true, enrolled: 0,
	platform: { os: 'Debian', version: '12', arch: 'x86_64' },
});
const all = [device('a', 'LIB-14', true), device('b', 'LIB-2', true, 'nora'), device('c', 'AAA', false), device('d', 'Büro', true)];
const names = (list: Device[]) => list.map((d) => d.name);

it('puts online first and counts as people do', () => {
	expect(names(arrange(all, '', 'all'))).toEqual(['Büro', 'LIB-2', 'LIB-14', 'AAA']);
});
it('filters by every word, without accents and case', () => {
	expect(names(arrange(all, 'buro', 'all'))).toEqual(['Büro']);
	expect(names(arrange(all, 'lib NORA', 'all'))).toEqual(['LIB-2']);
	expect(names(arrange(all, '', 'offline'))).toEqual(['AAA']);
	expect(arrange(all, 'lib zzz', 'all')).toEqual([]);
});
it('keeps rows in place under the pointer', () => {
	const before = arrange(all, '', 'all').map((d) => d.id);
	const now = arrange(all.map((d) => ({ ...d, online: d.id !== 'd' })), '', 'all');
	expect(keepOrder(now, before).map((d) => d.id)).toEqual(before);
	expect(keepOrder([...now, device('e', 'new', true)], before).map((d) => d.id)).toEqual([...before, 'e']);
	expect(keepOrder(now.slice(1), before)).toHaveLength(3);
});
it('finds its way in 20,000 devices', () => {
	const many = Array.from({ length: 20_000 }, (_, i) => device(`d${i}`, `ROOM-${i % 400}-${i}`, i % 3 > 0));
	expect(arrange(many, 'room-17-', 'all').length).toBe(50);
	const sorted = arrange(many, '', 'online');
	expect(sorted.length).toBe(13_333);
	expect(names(sorted.slice(0, 3))).toEqual(['ROOM-0-400', 'ROOM-0-800', 'ROOM-0-1600']);
});
it('takes up new names', () => {
	arrange([device('a', 'B', true)], '', 'all');
	expect(names(arrange([device('a', 'B', true), device('b', 'A', true)], '', 'all'))).toEqual(['A', 'B']);
});
