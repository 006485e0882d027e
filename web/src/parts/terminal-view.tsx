// xterm.js for one terminal; a chunk of its own, loaded when the first terminal opens. The xterm of a terminal outlives
// its view: it is kept beside the session and moved back into the page.
import '@fontsource-variable/jetbrains-mono/wght.css';
import '@xterm/xterm/css/xterm.css';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal as Xterm } from '@xterm/xterm';
import { useEffect, useRef } from 'react';
import { visible } from '../lib/hostile';
import type { Terminal } from '../session/terminal';
import { t } from '../text';
import s from './dock.module.css';

const FONT = '"JetBrains Mono Variable", ui-monospace, monospace';
const SCROLLBACK = 5_000;
const THEME = {
	background: '#10151c', foreground: '#d5dde6', cursor: '#93b4ff', cursorAccent: '#10151c', selectionBackground: '#2d4a7a',
	black: '#1b222b', red: '#ff8b8b', green: '#6fd69a', yellow: '#f0b35a', blue: '#8db1ff', magenta: '#c6a6ff', cyan: '#58c7dc', white: '#d5dde6',
	brightBlack: '#8a97a6', brightRed: '#ffa8a8', brightGreen: '#8fe5b3', brightYellow: '#f7c987', brightBlue: '#b0c9ff',
	brightMagenta: '#d9c4ff', brightCyan: '#86dceb', brightWhite: '#ffffff',
};

interface Shown {
	host: HTMLDivElement;
	xterm: Xterm;
	fit: FitAddon;
}
const shown = new WeakMap<Terminal, Shown>();

function make(terminal: Terminal): Shown {
	const host = document.createElement('div');
	host.className = s.host!;
	const xterm = new Xterm({
		fontFamily: FONT, fontSize: 12.5, lineHeight: 1.25, screenReaderMode: true, cursorBlink: false, theme: THEME,
		scrollback: SCROLLBACK, minimumContrastRatio: 4.5, allowProposedApi: false,
	});
	const fit = new FitAddon();
	xterm.loadAddon(fit);
	xterm.onData((data) => terminal.input(data));
	xterm.onBinary((data) => terminal.input(Uint8Array.from(data, (c) => c.charCodeAt(0))));
	xterm.onResize(({ cols, rows }) => terminal.resize(cols, rows));
	// the page's own shortcuts stay out of the terminal; leaving it by keyboard goes with Ctrl Alt Shift, as on the screen
	xterm.attachCustomKeyEventHandler((event) => {
		if (event.type !== 'keydown' || !event.ctrlKey || !event.shiftKey) return true;
		if (event.altKey) {
			document.querySelector<HTMLElement>('[data-terminal-tab][data-active]')?.focus();
			return false;
		}
		if (event.key.toLowerCase() !== 'c' || !xterm.hasSelection()) return true;
		event.preventDefault();
		void navigator.clipboard?.writeText(xterm.getSelection()).catch(() => {});
		return false;
	});
	return { host, xterm, fit };
}

const say = (text: string) => `\r\n\x1b[0m\x1b[90m${text}\x1b[0m\r\n`;

export default function TerminalView({ terminal, name, active }: { terminal: Terminal; name: string; active: boolean }) {
	const box = useRef<HTMLDivElement>(null);
	useEffect(() => {
		let gone = false;
		let observer: ResizeObserver | undefined;
		const begin = () => {
			if (gone) return;
			const element = box.current!;
			let view = shown.get(terminal);
			const first = !view;
			view ??= make(terminal);
			shown.set(terminal, view);
			const { host, xterm, fit } = view;
			element.append(host);
			if (first) {
				xterm.open(host);
				xterm.textarea?.setAttribute('aria-label', t.terminal.name(visible(name)));
			}
			fit.fit();
			if (first)
				terminal.attach(
					xterm.cols,
					xterm.rows,
					(data, done) => xterm.write(data, done),
					(what) => xterm.write(say(what === 'lost' ? t.terminal.lost : t.terminal.reopened)),
				);
			if (terminal.wantsFocus) xterm.focus();
			terminal.wantsFocus = false;
			observer = new ResizeObserver(() => element.clientHeight > 0 && fit.fit());
			observer.observe(element);
		};
		// cells are measured once, so the font has to be there
		document.fonts.load(`12.5px ${FONT}`).then(begin, begin);
		return () => {
			gone = true;
			observer?.disconnect();
			shown.get(terminal)?.host.remove();
		};
	}, [terminal, name]);
	useEffect(() => {
		if (active) shown.get(terminal)?.fit.fit();
	}, [active, terminal]);
	return <div ref={box} className={s.box} dir="ltr" data-keys="theirs" />;
}
