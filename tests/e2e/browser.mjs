// The two browsers behind one small set of calls: Chromium by Playwright, Firefox ESR by puppeteer-core over BiDi.
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './rig.mjs';

const require = createRequire(import.meta.url);
const OUTPUT = process.env.FAIRLEAD_TEST_OUTPUT ?? join(import.meta.dirname, '..', 'output');
export const VIEW = { width: 1440, height: 900 };
const PAPER = { width: 720, height: 1018 }; // A4 without margins, in CSS pixels
/** a known one, so that tests that filter traffic can leave it alone; each runs in a network namespace of its own */
export const DEBUG_PORT = 31_999;
const CHROMIUM_FLAGS = [
	'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync',
];

/** Runs in every page before its scripts: keeps what the Content-Security-Policy stopped. */
const watchPolicy = () => {
	window.__violations = [];
	document.addEventListener('securitypolicyviolation', (e) => window.__violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
};

const violations = () => window.__violations ?? ['the watcher did not run'];

class Page {
	constructor(page, name) {
		this.page = page;
		this.name = name;
	}

	goto(url) {
		return this.page.goto(url);
	}

	eval(fn, arg) {
		return this.page.evaluate(fn, arg);
	}

	/** Runs in every document that is loaded from now on, before its scripts. */
	before(fn) {
		return this.page.addInitScript(fn);
	}

	/** Until fn, run in the page, gives something true. */
	until(what, fn, arg, ms) {
		return until(`${what} (${this.name})`, () => this.page.evaluate(fn, arg), ms);
	}

	async text(pattern, ms) {
		await this.until(`text ${pattern}`, (source) => new RegExp(source).test(document.body.innerText), pattern.source, ms);
	}

	async shot(file) {
		await mkdir(OUTPUT, { recursive: true });
		await this.page.screenshot({ path: join(OUTPUT, `${this.name}-${file}.png`) });
	}

	/** As it is printed, for as long as look takes, and a picture of it; nothing where the browser cannot be asked for that. */
	async print() {}

	/** What axe-core finds. Its script comes in beside the page's policy, as a browser extension would. */
	async axe() {
		const source = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
		await this.page.evaluate(source);
		const found = await this.page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations
			.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`));
		return found;
	}

	violations() {
		return this.page.evaluate(violations);
	}

	/** Right to left, or back: the made-up language of web/src/text/pseudo.ts, with which the page is loaded again. */
	async language(name) {
		await this.page.evaluate((wanted) => (wanted ? localStorage.setItem('fairlead.language', wanted) : localStorage.removeItem('fairlead.language')), name);
		await this.page.reload();
	}

	/** By how many pixels the page is wider than the window. */
	sideways() {
		return this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
	}

	async theme(scheme) {
		await this.page.evaluate((wanted) => { document.documentElement.dataset.theme = wanted; }, scheme);
	}
}

class ChromiumPage extends Page {
	async print(file, look) {
		await this.page.emulateMedia({ media: 'print' });
		await this.size(PAPER.width, PAPER.height);
		await look();
		await this.page.screenshot({ path: join(OUTPUT, `${this.name}-${file}.png`), fullPage: true });
		await this.page.emulateMedia({ media: null });
		await this.size(VIEW.width, VIEW.height);
	}

	async size(width, height) {
		await this.page.setViewportSize({ width, height });
	}

	async click(role, name) {
		await this.page.getByRole(role, { name }).first().click();
	}

	async fill(role, name, text) {
		await this.page.getByRole(role, { name }).first().fill(text);
	}

	async keys(text) {
		await this.page.keyboard.type(text);
	}

	async press(key) {
		await this.page.keyboard.press(key);
	}

	async clickAt(x, y) {
		await this.page.mouse.click(x, y);
	}

	async moveTo(x, y) {
		await this.page.mouse.move(x, y);
	}
}

class FirefoxPage extends Page {
	async size(width, height) {
		await this.page.setViewport({ width, height });
	}

	before(fn) {
		return this.page.evaluateOnNewDocument(fn);
	}

	async click(role, name) {
		await this.page.locator(`::-p-aria([name="${name}"][role="${role}"])`).click();
	}

	async fill(role, name, text) {
		await this.page.locator(`::-p-aria([name="${name}"][role="${role}"])`).fill(text);
	}

	async keys(text) {
		await this.page.keyboard.type(text);
	}

	async press(key) {
		await this.page.keyboard.press(key);
	}

	async clickAt(x, y) {
		await this.page.mouse.click(x, y);
	}

	async moveTo(x, y) {
		await this.page.mouse.move(x, y);
	}
}

async function chromium({ trusted, proxy, resolved }) {
	const { chromium: launcher } = await import('playwright-core');
	const args = [...CHROMIUM_FLAGS];
	// --ignore-certificate-errors and the context's option leave out what is not of a page, such as turns:
	if (trusted) args.push(`--ignore-certificate-errors-spki-list=${trusted}`);
	if (resolved) args.push(`--host-resolver-rules=MAP *.test ${resolved}`);
	if (proxy) args.push(`--proxy-server=${proxy}`);
	const browser = await launcher.launch({ executablePath: '/usr/bin/chromium', headless: true, args });
	const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: VIEW });
	await context.addInitScript(watchPolicy);
	const page = await context.newPage();
	return { page: new ChromiumPage(page, 'chromium'), context, browser, close: () => browser.close() };
}

async function firefox({ resolved }) {
	const extraPrefsFirefox = resolved ? { 'network.dns.forceResolve': resolved } : {};
	const puppeteer = (await import('puppeteer-core')).default;
	const browser = await puppeteer.launch({
		browser: 'firefox', protocol: 'webDriverBiDi', executablePath: '/usr/bin/firefox-esr', headless: true,
		acceptInsecureCerts: true, defaultViewport: VIEW, extraPrefsFirefox, debuggingPort: DEBUG_PORT,
	});
	const page = await browser.newPage();
	await page.evaluateOnNewDocument(watchPolicy);
	return { page: new FirefoxPage(page, 'firefox'), browser, close: () => browser.close() };
}

/**
 * trusted: SHA-256 of a certificate's public key, in base64, that Chromium is to take on every connection. proxy: the URL of
 * the one that Chromium is to use. resolved: the address of every name in .test; in Firefox of
 * every name.
 */
export const launch = (name, options = {}) => (name === 'firefox' ? firefox(options) : chromium(options));
