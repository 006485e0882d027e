// Two made-up languages for tests: "en-XA" (every sentence 40 % longer, accented) and "ar-XB" (the same words, written
// from right to left). Set localStorage "fairlead.language" to one of them.
import type { Catalogue } from './en';

const ACCENTED: Record<string, string> = { a: 'á', e: 'ë', i: 'î', o: 'ö', u: 'ü', A: 'Å', E: 'É', I: 'Î', O: 'Ø', U: 'Û' };

function stretch(text: string): string {
	const accented = text.replace(/[aeiouAEIOU]/g, (c) => ACCENTED[c] ?? c);
	return `${accented}${'~'.repeat(Math.ceil(text.length * 0.4))}`;
}

function walk(value: unknown, change: (text: string) => string): unknown {
	if (typeof value === 'string') return change(value);
	if (typeof value === 'function') return (...args: unknown[]) => walk((value as (...a: unknown[]) => unknown)(...args), change);
	if (Array.isArray(value)) return value.map((item) => walk(item, change));
	if (value && typeof value === 'object')
		return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, change)]));
	return value;
}

export function pseudo(from: Catalogue, language: string): Catalogue {
	return { ...pseudoPart(from, language), language: 'en', direction: language === 'ar-XB' ? 'rtl' : 'ltr' };
}

export function pseudoPart<T extends object>(from: T, language: string): T {
	return walk(from, language === 'ar-XB' ? (text) => text : stretch) as T;
}
