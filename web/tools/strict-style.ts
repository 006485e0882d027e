// A Vite transform for xterm.js under a strict style-src: xterm makes three <style> elements, which the policy
// blocks. Each `createElement("style")` becomes a stand-in that is backed by an adopted style sheet. When a new
// release of xterm makes more or fewer of them, the build fails instead of the terminal.
import path from 'node:path';
import type { Plugin } from 'vite';

const EXPECTED = 3;

export function strictStyle(): Plugin {
	const standIn = path.resolve(import.meta.dirname, '../src/lib/strict-style.ts');
	return {
		name: 'fairlead-strict-style',
		enforce: 'pre',
		transform(code, id) {
			if (!/@xterm\/xterm\/lib\/xterm\.mjs/.test(id)) return null;
			let sites = 0;
			const out = code.replace(/\b[\w$.]+\.createElement\("style"\)/g, () => {
				sites++;
				return '__strictStyle()';
			});
			if (sites !== EXPECTED)
				this.error(`xterm.js: found ${sites} <style> elements, expected ${EXPECTED}; check tools/strict-style.ts`);
			return { code: `import {strictStyle as __strictStyle} from ${JSON.stringify(standIn)};${out}`, map: null };
		},
	};
}
