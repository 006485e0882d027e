// A small checker for what the Content-Security-Policy and the house rules forbid in src/. It reads text, not a
// syntax tree: each rule is a pattern that has no honest use here. Exit status 1 with file and line on a finding.
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

const SOURCE = [
	[/<style\b/, '<style> element: the policy blocks it; write a CSS module'],
	[/dangerouslySetInnerHTML/, 'dangerouslySetInnerHTML: device text would become markup'],
	[/\b(inner|outer)HTML\b|insertAdjacentHTML|document\.write\b/, 'markup from a string: Trusted Types block it'],
	[/setAttribute\(\s*['"`]style/, "setAttribute('style'): the policy blocks it; use style={{…}} or a class"],
	[/\beval\(|new Function\(/, 'code from a string: the policy blocks it'],
	[/\bjavascript:/, 'javascript: address'],
	[/https?:\/\/(?!www\.w3\.org\/)[a-z0-9]/i, 'an address of another host: everything comes from our own origin'],
	[/\b(TODO|FIXME|XXX|HACK)\b/, 'unfinished work'],
];
const STYLE = [
	[/(?<![-\w])(margin|padding|border)-(left|right)\b/, 'physical direction: use the logical property'],
	[/(?<![-\w])(left|right)\s*:/, 'physical direction: use inset-inline-start or inset-inline-end'],
	[/text-align\s*:\s*(left|right)/, 'physical direction: use start or end'],
	[/@import|https?:\/\//, 'style from elsewhere'],
];

function* files(dir) {
	for (const entry of readdirSync(dir, { withFileTypes: true })) {
		const name = join(dir, entry.name);
		if (entry.isDirectory()) yield* files(name);
		else yield name;
	}
}

let found = 0;
for (const name of files(join(import.meta.dirname, '../src'))) {
	const rules = { '.ts': SOURCE, '.tsx': SOURCE, '.css': STYLE }[extname(name)];
	if (!rules || /\.test\.ts$/.test(name)) continue;
	readFileSync(name, 'utf8').split('\n').forEach((line, at) => {
		const code = extname(name) === '.css' ? line : line.replace(/(^|\s)\/\/.*$/, '');
		for (const [pattern, why] of rules)
			if (pattern.test(code)) {
				console.error(`${name}:${at + 1}: ${why}`);
				found++;
			}
	});
}
process.exitCode = found ? 1 : 0;
