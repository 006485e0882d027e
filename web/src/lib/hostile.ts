// Text that a device reported is hostile until shown as plain text. React escapes markup; this makes the characters
// visible that have no glyph of their own or that reorder what stands around them (Unicode bidirectional controls,
// zero-width characters, controls, lone surrogates).

const BIDI_AND_HIDDEN =
	/[\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u2028-\u202E\u2060-\u206F\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]|[\u{E0000}-\u{E0FFF}]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/gu;
const CONTROL = /[\u0000-\u001F\u007F-\u009F]/g;
const MARKS = /(\p{M}{3})\p{M}+/gu;

function code(character: string): string {
	return `\u2039U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}\u203A`;
}

export function visible(text: string): string {
	return text.replace(MARKS, '$1\u2026').replace(BIDI_AND_HIDDEN, code).replace(CONTROL, code);
}
