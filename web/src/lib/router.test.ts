import { expect, it } from 'vitest';
import { devicePath, pageOf, routePath } from './router';

it('finds pages by address', () => {
	expect(pageOf('/')).toEqual({ page: 'devices' });
	expect(pageOf('/devices')).toEqual({ page: 'devices' });
	expect(pageOf('/sign-in')).toEqual({ page: 'sign-in' });
	expect(pageOf('/audit/')).toEqual({ page: 'audit' });
	expect(pageOf('/nothing')).toEqual({ page: 'not-found' });
	expect(pageOf('/network')).toEqual({ page: 'network' });
	expect(pageOf('/devices/a/b')).toEqual({ page: 'not-found' });
});
it('carries any device id through an address', () => {
	for (const id of ['d1', 'a/b', '50%', '../x', '<x>']) expect(pageOf(devicePath(id))).toEqual({ page: 'device', id });
	for (const id of ['d1', 'a/b', '50%']) expect(pageOf(routePath(id, null))).toEqual({ page: 'route', id });
	expect(routePath('d1', 's/1')).toBe('/devices/d1/route?session=s%2F1');
	expect(pageOf('/devices/%E0%A4%A')).toEqual({ page: 'not-found' });
});
