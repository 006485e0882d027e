// The last step of the build: writes .br and .gz beside every compressible file of dist/ and holds the budgets
// (brotli). "First load" is what the browser fetches before the sign-in page or the device list is on screen: the
// entry and everything it imports statically.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const DIST = join(import.meta.dirname, '../dist');
const BUDGET = { js: 150_000, css: 12_000, terminal: 85_000 };
const COMPRESSIBLE = new Set(['.html', '.js', '.css', '.svg', '.json', '.txt']);

const manifest = JSON.parse(readFileSync(join(DIST, '.vite/manifest.json'), 'utf8'));
rmSync(join(DIST, '.vite'), { recursive: true });

const sizes = new Map();
for (const entry of readdirSync(DIST, { withFileTypes: true, recursive: true })) {
	const name = join(entry.parentPath ?? entry.path, entry.name);
	if (!entry.isFile() || !COMPRESSIBLE.has(extname(name))) continue;
	const plain = readFileSync(name);
	const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
	const br = brotliCompressSync(plain, { params });
	writeFileSync(`${name}.br`, br);
	writeFileSync(`${name}.gz`, gzipSync(plain, { level: 9 }));
	sizes.set(name.slice(DIST.length + 1), br.length);
}

function closure(roots) {
	const js = new Set(), css = new Set(), seen = new Set();
	const visit = (key) => {
		if (seen.has(key)) return;
		seen.add(key);
		const chunk = manifest[key];
		js.add(chunk.file);
		for (const file of chunk.css ?? []) css.add(file);
		for (const next of chunk.imports ?? []) visit(next);
	};
	roots.forEach(visit);
	const sum = (set) => [...set].reduce((total, file) => total + (sizes.get(file) ?? 0), 0);
	return { js: sum(js), css: sum(css) };
}

const first = closure(['index.html']);
const device = closure(['index.html', 'src/pages/device.tsx']);
const terminal = sizes.get(manifest['src/parts/terminal-view.tsx']?.file) ?? 0;
const fonts = [...Object.values(manifest)].filter((c) => /latin-wght-normal/.test(c.file ?? ''))
	.filter((c) => !/-ext-/.test(c.file)).reduce((total, c) => total + statSync(join(DIST, c.file)).size, 0);
const kB = (n) => `${(n / 1000).toFixed(1)} kB`;
console.log(`first load: ${kB(first.js)} script, ${kB(first.css)} style (brotli), ${kB(fonts)} fonts; ` +
	`with the device page: ${kB(device.js)} script, ${kB(device.css)} style; terminal ${kB(terminal)}`);

const over = [
	[first.js, BUDGET.js, 'first-load script'],
	[first.css, BUDGET.css, 'first-load style'],
	[terminal, BUDGET.terminal, 'terminal chunk'],
].filter(([is, limit]) => is > limit);
for (const [is, limit, what] of over) console.error(`over budget: ${what} is ${kB(is)}, at most ${kB(limit)}`);
process.exitCode = over.length ? 1 : 0;
