import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const css = readFileSync(join(import.meta.dirname, 'tokens.css'), 'utf8');
const hex = '#[0-9a-f]{6}';
const tokens = new Map<string, [string, string]>();
for (const [, name, light, dark] of css.matchAll(new RegExp(`--([\\w-]+): light-dark\\((${hex}), (${hex})\\);`, 'g')))
	tokens.set(name!, [light!, dark!]);
for (const [, name, both] of css.matchAll(new RegExp(`--([\\w-]+): (${hex});`, 'g'))) tokens.set(name!, [both!, both!]);

// relative luminance and contrast ratio: WCAG 2.2, "relative luminance", "contrast ratio"
function luminance(colour: string): number {
	const [r, g, b] = [1, 3, 5].map((at) => {
		const c = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
		return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	}) as [number, number, number];
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a: string, b: string): number {
	const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number];
	return (x + 0.05) / (y + 0.05);
}

const grounds = ['bg', 'surface', 'sunken', 'raised', 'hover'];
const text: [string, string][] = [
	...['text', 'text-2'].flatMap((t) => [...grounds, 'pressed'].map((g): [string, string] => [t, g])),
	...grounds.map((g): [string, string] => ['text-3', g]),
	...['bg', 'surface', 'raised', 'hover'].map((g): [string, string] => ['accent', g]),
	...['accent', 'local', 'punched', 'relayed', 'danger'].map((t): [string, string] => [t, `${t}-soft`]),
	...['local', 'punched', 'relayed', 'danger'].flatMap((t) =>
		['bg', 'surface', 'raised'].map((g): [string, string] => [t, g])),
	['text', 'accent-soft'],
	['text-2', 'accent-soft'],
	['text', 'danger-soft'],
	['text', 'relayed-soft'],
	['text', 'local-soft'],
	['on-accent', 'accent-fill'],
	['on-accent', 'accent-fill-hover'],
	['on-accent', 'danger-fill'],
	['term-text', 'term-bg'],
];

describe('contrast', () => {
	for (const [theme, name] of [[0, 'light'], [1, 'dark']] as const) {
		for (const [fore, back] of text)
			it(`${name}: ${fore} on ${back} is at least 4.5`, () => {
				expect(contrast(tokens.get(fore)![theme], tokens.get(back)![theme])).toBeGreaterThanOrEqual(4.5);
			});
		for (const back of ['bg', 'surface', 'raised', 'sunken'])
			it(`${name}: control borders on ${back} are at least 3`, () => {
				expect(contrast(tokens.get('line-strong')![theme], tokens.get(back)![theme])).toBeGreaterThanOrEqual(3);
			});
	}
});
