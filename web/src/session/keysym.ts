// From a KeyboardEvent to what was meant, as an X11 keysym (X11 protocol, appendix A "KEYSYM Encoding"): characters of
// Latin-1 are their own keysym, others are 0x01000000 + code point, keys without a character have names.

const NAMED: Record<string, number> = {
	Backspace: 0xff08, Tab: 0xff09, Enter: 0xff0d, Pause: 0xff13, Escape: 0xff1b, Delete: 0xffff,
	Home: 0xff50, ArrowLeft: 0xff51, ArrowUp: 0xff52, ArrowRight: 0xff53, ArrowDown: 0xff54,
	PageUp: 0xff55, PageDown: 0xff56, End: 0xff57, Select: 0xff60, PrintScreen: 0xff61, Execute: 0xff62, Insert: 0xff63,
	Undo: 0xff65, Redo: 0xff66, ContextMenu: 0xff67, Find: 0xff68, Cancel: 0xff69, Help: 0xff6a, Clear: 0xff0b,
	Convert: 0xff23, NonConvert: 0xff22, KanaMode: 0xff2d, HangulMode: 0xff31, HanjaMode: 0xff34,
	ZenkakuHankaku: 0xff2a, Hiragana: 0xff25, Katakana: 0xff26, Romaji: 0xff24,
	AudioVolumeDown: 0x1008ff11, AudioVolumeMute: 0x1008ff12, AudioVolumeUp: 0x1008ff13,
	MediaPlayPause: 0x1008ff14, MediaStop: 0x1008ff15, MediaTrackPrevious: 0x1008ff16, MediaTrackNext: 0x1008ff17,
	BrowserBack: 0x1008ff26, BrowserForward: 0x1008ff27, BrowserRefresh: 0x1008ff29, BrowserHome: 0x1008ff18,
	Copy: 0x1008ff57, Cut: 0x1008ff58, Paste: 0x1008ff6d,
};

// left and right: KeyboardEvent.location 2 is the right one
const SIDED: Record<string, [number, number]> = {
	Shift: [0xffe1, 0xffe2], Control: [0xffe3, 0xffe4], Alt: [0xffe9, 0xffea], Meta: [0xffeb, 0xffec], OS: [0xffeb, 0xffec],
	Super: [0xffeb, 0xffec], Hyper: [0xffed, 0xffee],
};

export const KEYSYM = {
	shift: 0xffe1, control: 0xffe3, alt: 0xffe9, super: 0xffeb, delete: 0xffff, tab: 0xff09, escape: 0xff1b, print: 0xff61,
	f4: 0xffc1, keypadEnter: 0xff8d,
} as const;

/** One character; null for none or a lone surrogate. */
export function ofCharacter(character: string): number | null {
	const code = character.codePointAt(0);
	if (code === undefined || (code >= 0xd800 && code <= 0xdfff)) return null;
	if (code === 0x0a || code === 0x0d) return NAMED.Enter!;
	if (code === 0x09) return NAMED.Tab!;
	if (code === 0x08) return NAMED.Backspace!;
	if ((code >= 0x20 && code <= 0x7e) || (code >= 0xa0 && code <= 0xff)) return code;
	return code < 0xa0 ? null : 0x01000000 | code;
}

/** The keysyms of a text, one a character, in order. */
export function ofText(text: string): number[] {
	return [...text.replace(/\r\n/g, '\n')].map(ofCharacter).filter((keysym) => keysym !== null);
}

export interface KeyLike {
	key: string;
	location: number;
}

/**
 * null where nothing is to be sent: keys that begin a composition, and the locks and AltGr, because the keysym of the
 * character already says what they did to it.
 */
export function ofKey({ key, location }: KeyLike): number | null {
	if (key === 'Enter' && location === 3) return KEYSYM.keypadEnter;
	const sided = Object.hasOwn(SIDED, key) ? SIDED[key] : undefined;
	if (sided) return sided[location === 2 ? 1 : 0];
	const named = Object.hasOwn(NAMED, key) ? NAMED[key] : undefined;
	if (named !== undefined) return named;
	const f = /^F([1-9]|[12]\d|3[0-5])$/.exec(key);
	if (f) return 0xffbd + Number(f[1]);
	return [...key].length === 1 ? ofCharacter(key) : null;
}

/** Whether this key event belongs to a dead key or an input method, whose result arrives as text. */
export function composes(event: { key: string; isComposing: boolean; keyCode?: number }): boolean {
	return event.isComposing || event.key === 'Dead' || event.key === 'Process' || event.key === 'Compose' || event.keyCode === 229;
}
