import { describe, expect, it } from 'vitest';
import type { Place, Policy } from './api';
import { above, DEFAULTS, FIELDS, inherited, inOrder, kindsIn, listOf, mistakes, toFields, toPolicy } from './places';

const place = (id: string, parent: string | null, policy: Policy = {}, name = id): Place => ({
	id, parent, kind: parent === null ? 'hub' : 'group', name, policy, effective: {}, devices: 0, devicesBelow: 0,
});
const tree = new Map(
	[
		place('hub', null, { dscp: 34 }, ''),
		place('s', 'hub', { relay: 'forbidden', interfaces: { exclude: ['tun*'] } }, 'School'),
		place('b', 's', {}, 'Library'),
		place('a', 's', { methods: ['local'] }, 'Art'),
		place('z', 'hub', {}, 'Annexe'),
	].map((one) => [one.id, one]),
);

describe('the tree', () => {
	it('is shown with each place after its parent, by name', () => {
		expect(inOrder(tree).map(({ place: { id }, depth }) => `${depth}${id}`)).toEqual(['0hub', '1z', '1s', '2a', '2b']);
	});
	it('passes down what is set above, from the nearest place that has it', () => {
		expect(above(tree, 'b').map((one) => one.id)).toEqual(['s', 'hub']);
		expect(inherited(tree, 'b', 'relay')).toMatchObject({ value: 'forbidden', from: { id: 's' } });
		expect(inherited(tree, 'b', 'dscp')).toMatchObject({ value: 34, from: { id: 'hub' } });
		expect(inherited(tree, 'b', 'interfacesExclude')).toMatchObject({ value: ['tun*'], from: { id: 's' } });
		expect(inherited(tree, 'b', 'interfacesPrefer')).toEqual({ value: [], from: null });
		expect(inherited(tree, 's', 'relay')).toEqual({ value: 'allowed', from: null });
	});
	it('does not hang on a loop', () => {
		const loop = new Map([place('x', 'y'), place('y', 'x')].map((one) => [one.id, one]));
		expect(above(loop, 'x').length).toBeLessThanOrEqual(2);
		expect(inOrder(loop)).toEqual([]);
	});
	it('knows what may stand where', () => {
		expect(kindsIn('hub')).toContain('organisation');
		expect(kindsIn('organisation')).toEqual(['site', 'group']);
		expect(kindsIn('site')).toEqual(['group']);
	});
});

describe('the form', () => {
	it('gives back the policy it was made from', () => {
		const policy: Policy = {
			methods: ['local'], relay: 'last-resort', turnTransports: ['tls'], interfaces: { prefer: ['eth*'], exclude: [] },
			subnets: { exclude: ['192.168.9.0/24'] }, udpPorts: '50000-50999', dscp: 34, deviceKbit: 8000, siteKbit: 0,
		};
		expect(toPolicy(toFields(policy))).toEqual(policy);
		expect(toPolicy({})).toEqual({});
		expect(Object.keys(DEFAULTS)).toEqual([...FIELDS]);
	});
	it('reads lists by line or comma', () => {
		expect(listOf(' eth*, wlan0\n\nen?;')).toEqual(['eth*', 'wlan0', 'en?']);
	});
	it('finds nothing wrong with what the protocol shows', () => {
		expect(mistakes({ ...DEFAULTS, subnetsPrefer: ['10.0.0.0/8', '2001:db8::/32', '::/0'], interfacesPrefer: ['eth*'], udpPorts: '1-65535', dscp: 63 })).toEqual({});
	});
	it('says which field is wrong, and how', () => {
		expect(
			mistakes({
				methods: [], turnTransports: [], interfacesPrefer: ['a/b'], interfacesExclude: Array.from({ length: 17 }, () => 'x'),
				subnetsPrefer: ['10.0.0.0'], subnetsExclude: ['300.0.0.0/8'], udpPorts: '9-5', dscp: 64, deviceKbit: -1, siteKbit: 1.5,
			}),
		).toEqual({
			methods: 'methods', turnTransports: 'turnTransports', interfacesPrefer: 'pattern', interfacesExclude: 'many', subnetsPrefer: 'subnet',
			subnetsExclude: 'subnet', udpPorts: 'ports', dscp: 'dscp', deviceKbit: 'kbit', siteKbit: 'kbit',
		});
		for (const bad of ['10.0.0.0/33', '10.0.0/8', '::/129', 'fe80::1%eth0/64', '10.0.0.0/8/8', ':::/8', '1.2.3.4:5/8'])
			expect([bad, mistakes({ subnetsPrefer: [bad] })]).toEqual([bad, { subnetsPrefer: 'subnet' }]);
	});
	it('refuses a policy that leaves no method', () => {
		expect(mistakes({ methods: ['relayed'], relay: 'forbidden' })).toEqual({ relay: 'nothing' });
		expect(mistakes({ methods: ['local', 'relayed'], relay: 'forbidden' })).toEqual({});
	});
});
