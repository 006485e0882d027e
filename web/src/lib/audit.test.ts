import { expect, it } from 'vitest';
import { detailText } from './audit';

it('tells details in words and leaves nothing out', () => {
	expect(detailText({ how: 'link', address: '127.0.0.1' })).toBe('how link, address 127.0.0.1');
	expect(detailText({ uses: 1, route: { method: 'local' }, error: null })).toBe('uses 1, route {"method":"local"}, error null');
	expect(detailText({})).toBe('');
	expect(detailText(null)).toBe('');
	expect(detailText('plain')).toBe('plain');
});
it('shows moments as dates, but only where a moment is meant', () => {
	expect(detailText({ expires: 1_795_374_421_280 })).toMatch(/2026/);
	expect(detailText({ uses: 1_795_374_421_280 })).toBe('uses 1795374421280');
});
