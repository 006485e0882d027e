// bench/screen: what a person waits for at a remote screen of 1280×800, in Chromium against a whole Fairlead, and beside it
// MeshCentral where its npm package is installed:
//   first   click → first picture. Ours: on a device in the list. MeshCentral: on Connect in the open Desktop tab.
//   still   CPU of what runs on the device while a watched screen is still
//   glass   a square changes on the device → it has changed on the viewer's display
//   scroll  full-screen scrolling text: frames shown a second and Mbit/s (RTP packets; messages of the WebSocket)
// Run it with bench/screen/run; how it is measured stands in measure.mjs.
import { cpus, loadavg, release } from 'node:os';
import { startFairlead } from './fairlead.mjs';
import { measure, openViewer, quantile } from './measure.mjs';
import { meshCentralIsThere, startMeshCentral } from './meshcentral.mjs';

const ROWS = [
	['first picture, median', 'ms', (seen) => quantile(seen.first, 0.5), 'at most 150'],
	['first picture, p95', 'ms', (seen) => quantile(seen.first, 0.95), ''],
	['still screen, CPU', '% of a core', (seen) => seen.still.percent, 'under 1'],
	['glass to glass, p50', 'ms', (seen) => quantile(seen.glass.times, 0.5), 'at most 60'],
	['glass to glass, p95', 'ms', (seen) => quantile(seen.glass.times, 0.95), 'at most 100'],
	['scrolling text', 'frames/s', (seen) => seen.scroll.fps, 'at least 25'],
	['scrolling text', 'Mbit/s', (seen) => seen.scroll.mbit, 'at most 4'],
	['scrolling text, CPU', '% of a core', (seen) => seen.scroll.percent, ''],
];

const cell = (value) => (value === undefined ? '-' : value.toFixed(Math.abs(value) < 10 ? 2 : 1)).padStart(12);

function print(products, seen) {
	const all = products.map((product) => seen.get(product));
	console.log(`${''.padEnd(36)}${products.map((product) => product.name.padStart(12)).join('')}${products.length > 1 ? '       ratio' : ''}  wanted`);
	for (const [what, unit, read, wanted] of ROWS) {
		const values = all.map(read);
		const ratio = values.length > 1 ? cell(values[0] / values[1]) : '';
		console.log(`${`${what} (${unit})`.padEnd(36)}${values.map(cell).join('')}${ratio}  ${wanted}`);
	}
	for (const [i, product] of products.entries()) {
		const { first, still, glass, scroll } = all[i];
		console.log(`${product.name}: ${first.length} clicks; still ${still.seconds} s of ${still.names.join(', ')}; ${glass.times.length} changes seen, ${glass.lost} lost; scrolling ${scroll.seconds.toFixed(1)} s, ${scroll.lost} packets lost`);
	}
}

const products = [];
const viewers = [];
const load = () => loadavg()[0].toFixed(2);

async function add(start) {
	const viewer = await openViewer();
	viewers.push(viewer);
	products.push(await start(viewer));
}

try {
	await add(startFairlead);
	if (meshCentralIsThere()) await add(startMeshCentral);
	else console.log('MeshCentral is not installed; bench/screen/run --with-meshcentral measures it beside us');
	const versions = [...products.map(({ name, version }) => `${name} ${version}`), `Chromium ${viewers[0].version}`, `Linux ${release()}`];
	console.log(`${new Date().toISOString()}  ${cpus().length} × ${cpus()[0].model}  ${versions.join(', ')}`);
	const before = load();
	const seen = await measure(products);
	console.log(`load average ${before} before, ${load()} after`);
	print(products, seen);
} finally {
	for (const product of products) await product.stop();
	for (const viewer of viewers) await viewer.stop();
}
