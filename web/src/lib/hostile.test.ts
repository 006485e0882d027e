import { describe, expect, it } from 'vitest';
import { visible } from './hostile';

describe('hostile text', () => {
	it('leaves ordinary names alone', () => {
		for (const name of ['LIB-14', 'Büro Süd 3', '図書館-14', 'مكتبة', 'א-14', '🖥️'.replace('\uFE0F', ''), '<img src=x onerror=alert(1)>'])
			expect(visible(name)).toBe(name);
	});
	it('shows control characters', () => {
		expect(visible('a\nb\tc\x1b[31m\x7f')).toBe('a‹U+000A›b‹U+0009›c‹U+001B›[31m‹U+007F›');
		expect(visible('\u0085')).toBe('‹U+0085›');
	});
	it('shows characters that reorder or hide text', () => {
		expect(visible('gnp\u202Eexe')).toBe('gnp‹U+202E›exe');
		expect(visible('a\u200Bb\u2066c\uFEFF')).toBe('a‹U+200B›b‹U+2066›c‹U+FEFF›');
		expect(visible('a\u{E0041}')).toBe('a‹U+E0041›');
	});
	it('shows lone surrogates', () => {
		expect(visible('a\uD800b')).toBe('a‹U+D800›b');
		expect(visible('\uDC00')).toBe('‹U+DC00›');
	});
	it('cuts towers of combining marks', () => {
		expect(visible(`Z${'\u0301'.repeat(200)}`)).toBe(`Z${'\u0301'.repeat(3)}\u2026`);
	});
});
