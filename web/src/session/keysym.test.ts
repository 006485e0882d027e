import { describe, expect, it } from 'vitest';
import { composes, ofCharacter, ofKey, ofText } from './keysym';

const key = (name: string, location = 0) => ofKey({ key: name, location });

describe('keysyms', () => {
	it('of characters', () => {
		expect(key('a')).toBe(0x61);
		expect(key('A')).toBe(0x41);
		expect(key('~')).toBe(0x7e);
		expect(key(' ')).toBe(0x20);
		expect(key('é')).toBe(0xe9);
		expect(key('ß')).toBe(0xdf);
		expect(key('€')).toBe(0x010020ac);
		expect(key('Ω')).toBe(0x010003a9);
		expect(key('я')).toBe(0x0100044f);
		expect(key('😀')).toBe(0x0101f600);
	});
	it('of keys with names', () => {
		expect(key('Enter')).toBe(0xff0d);
		expect(key('Enter', 3)).toBe(0xff8d);
		expect(key('Backspace')).toBe(0xff08);
		expect(key('Delete')).toBe(0xffff);
		expect(key('ArrowLeft')).toBe(0xff51);
		expect(key('PageDown')).toBe(0xff56);
		expect(key('F1')).toBe(0xffbe);
		expect(key('F12')).toBe(0xffc9);
		expect(key('F35')).toBe(0xffe0);
		expect(key('PrintScreen')).toBe(0xff61);
	});
	it('of modifiers, left and right', () => {
		expect([key('Shift', 1), key('Shift', 2)]).toEqual([0xffe1, 0xffe2]);
		expect([key('Control', 1), key('Control', 2)]).toEqual([0xffe3, 0xffe4]);
		expect([key('Alt', 1), key('Meta', 2)]).toEqual([0xffe9, 0xffec]);
	});
	it('are not made for what the character already says, nor for unknown keys', () => {
		for (const name of ['AltGraph', 'CapsLock', 'NumLock', 'Dead', 'Process', 'Unidentified', 'F36', 'constructor', ''])
			expect([name, key(name)]).toEqual([name, null]);
	});
	it('of a text', () => {
		expect(ofText('a\r\nb\té')).toEqual([0x61, 0xff0d, 0x62, 0xff09, 0xe9]);
		expect(ofText('\u0007\uD800x')).toEqual([0x78]);
		expect(ofCharacter('')).toBeNull();
	});
	it('composition is told apart', () => {
		expect(composes({ key: 'Dead', isComposing: false })).toBe(true);
		expect(composes({ key: 'e', isComposing: true })).toBe(true);
		expect(composes({ key: 'Process', isComposing: false, keyCode: 229 })).toBe(true);
		expect(composes({ key: 'e', isComposing: false, keyCode: 69 })).toBe(false);
	});
});
