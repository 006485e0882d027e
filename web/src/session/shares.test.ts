import { expect, it } from 'vitest';
import type { PlaceRoutes } from '../lib/api';
import { addUp, problems, worstFirst } from './shares';

const place = (name: string, local: number, punched: number, relayed: number, none: number, causes: PlaceRoutes['causes'] = []): PlaceRoutes => ({
	place: name, name, sessions: local + punched + relayed + none, local, punched, relayed, none, causes,
});
const cause = (change: Partial<PlaceRoutes['causes'][0]>): PlaceRoutes['causes'][0] => ({
	cause: 'udp-blocked', side: 'device', method: 'relayed', count: 1, sentence: '', remedy: [], ...change,
});

it('adds up the places', () => {
	expect(addUp([place('a', 1, 2, 3, 4), place('b', 10, 0, 0, 0)])).toEqual({ sessions: 20, local: 11, punched: 2, relayed: 3, none: 4 });
});
it('puts the place first where most went wrong', () => {
	const list = [place('good', 99, 0, 0, 0), place('some', 1, 9, 1, 0), place('bad', 0, 0, 3, 2)];
	expect(worstFirst(list).map((one) => one.name)).toEqual(['bad', 'some', 'good']);
});
it('names what could be better, most frequent first', () => {
	const causes = [cause({ method: 'local', cause: 'same-network', count: 50 }), cause({ count: 2 }), cause({ method: 'none', count: 7 })];
	expect(problems(place('a', 50, 0, 2, 7, causes)).map((one) => one.count)).toEqual([7, 2]);
});
